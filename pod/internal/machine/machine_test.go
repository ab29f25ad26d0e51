package machine

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCPUIsTheMeanSinceTheLastCall(t *testing.T) {
	var c CPU
	at := time.Now()
	assert.Nil(t, c.used("cpu  100 0 100 800 0 0 0 0 0 0\n", 4, at), "nothing to compare with")
	used := c.used("cpu  200 0 200 1000 7 0 0 0 0 0\ncpu0 1 2 3 4\n", 4, at.Add(time.Second))
	require.NotNil(t, used)
	assert.InDelta(t, 2.0, *used, 1e-9, "two seconds of CPU time in one")
	again := c.used("cpu  201 0 200 1000 7 0 0 0 0 0\n", 4, at.Add(time.Second+time.Millisecond))
	assert.InDelta(t, 2.0, *again, 1e-9, "a moment later the mean stands")
	assert.Nil(t, c.used("what\n", 4, at))
	assert.Nil(t, c.used("cpu  201 0 200 -1 7 0 0 0 0 0\n", 4, at))
}

func TestMemoryLeavesOutWhatIsAvailable(t *testing.T) {
	total, used, err := memory("MemTotal:  1000 kB\nMemFree: 10 kB\nMemAvailable: 600 kB\n")
	require.NoError(t, err)
	assert.Equal(t, []int64{1000 << 10, 400 << 10}, []int64{total, used})
	_, _, err = memory("MemTotal: 1000 kB\n")
	require.Error(t, err)
}

func TestThisMachine(t *testing.T) {
	var c CPU
	assert.Nil(t, c.Used(1))
	total, used, err := Memory()
	require.NoError(t, err)
	assert.True(t, 0 < used && used < total, "%d of %d", used, total)
	used, total, err = Disk("/")
	require.NoError(t, err)
	assert.True(t, 0 <= used && used <= total, "%d of %d", used, total)
	_, _, err = Disk("/no/such")
	require.ErrorContains(t, err, "/no/such")
}

func FuzzFiles(f *testing.F) {
	for _, name := range []string{"/proc/stat", "/proc/meminfo"} {
		b, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(string(b), string(b))
	}
	f.Add("cpu  1 0 1 1 100 0 0 0\n", "cpu  9 0 9 2 1 0 0 0\n")
	f.Add("MemTotal: 1 kB\nMemAvailable: 2 kB\n", "MemTotal: 9223372036854775807 kB\nMemAvailable: -9 kB\n")
	f.Add("MemTotal: 18446744073709551615 kB\nMemAvailable: 18446744073709551615 kB\n", "")
	f.Fuzz(func(t *testing.T, before, after string) {
		var c CPU
		at := time.Now()
		c.used(before, 4, at)
		if used := c.used(after, 4, at.Add(time.Second)); used != nil {
			assert.True(t, *used >= 0 && *used <= 4, "%v of 4 cores", *used)
		}
		if total, used, err := memory(after); err == nil {
			assert.True(t, used >= 0 && used <= total, "%d of %d", used, total)
		}
	})
}
