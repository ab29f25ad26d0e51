package docker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fixtureID is the container of the recorded trees below testdata/cgroup.
const fixtureID = "4f9c1f0c2b7d0123456789abcdef0123456789abcdef0123456789abcdefabcd"

func TestCgroupFilesOfEveryLayout(t *testing.T) {
	for _, layout := range []string{"v2-systemd", "v2-cgroupfs", "v2-rootless", "v1-cgroupfs", "v1-systemd"} {
		t.Run(layout, func(t *testing.T) {
			f, err := cgroupRoot("testdata/cgroup/"+layout).find(4242, fixtureID)
			require.NoError(t, err)
			u, err := f.read()
			require.NoError(t, err)
			assert.Equal(t, 1234567*time.Microsecond, u.CPU)
			assert.Equal(t, int64(13631488-8388608), u.Memory, "without the inactive page cache")
			assert.WithinDuration(t, time.Now(), u.At, time.Second)
		})
	}
}

func TestCgroupOfAnotherMachinesPidIsNotRead(t *testing.T) {
	_, err := cgroupRoot("testdata/cgroup/elsewhere").find(4242, fixtureID)
	require.ErrorContains(t, err, "cannot be seen from here")
	_, err = cgroupRoot("testdata/cgroup/v2-systemd").find(4242, "another"+fixtureID[7:])
	require.Error(t, err)
	_, err = cgroupRoot("testdata/cgroup/v2-rootless").find(0, fixtureID)
	require.Error(t, err, "without a pid only the default places are looked at")
}
