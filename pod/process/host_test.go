package process

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/pod"
)

func TestReadCgroup(t *testing.T) {
	for _, c := range []struct {
		name  string
		self  string
		files map[string]string
		want  cgroup
	}{
		{"none", "0::/\n", nil, cgroup{}},
		{
			"v2, the lowest of all levels", "0::/a/b\n", map[string]string{
				"a/cpu.max":      "150000 100000",
				"a/b/cpu.max":    "max 100000",
				"a/memory.max":   "1000000",
				"a/b/memory.max": "max", "a/memory.current": "5000", "a/memory.stat": "anon 1\ninactive_file 2000\n",
			},
			cgroup{cpus: 1.5, memory: 1000000, memoryUsed: 3000},
		},
		{
			"v1", "4:memory:/m\n1:cpu,cpuacct:/c\n0::/\n", map[string]string{
				"cpu/c/cpu.cfs_quota_us": "50000", "cpu/c/cpu.cfs_period_us": "100000",
				"cpu/cpu.cfs_quota_us":           "-1",
				"memory/m/memory.limit_in_bytes": "4096000", "memory/m/memory.usage_in_bytes": "9000",
				"memory/m/memory.stat":         "inactive_file 1\ntotal_inactive_file 4000\n",
				"memory/memory.limit_in_bytes": "9223372036854771712",
			},
			cgroup{cpus: 0.5, memory: 4096000, memoryUsed: 5000},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			for name, content := range c.files {
				path := filepath.Join(root, name)
				require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
				require.NoError(t, os.WriteFile(path, []byte(content+"\n"), 0o600))
			}
			assert.Equal(t, c.want, readCgroup(c.self, root))
		})
	}
}

func TestHost(t *testing.T) {
	cfg := config(t.TempDir(), testCluster)
	r, err := New(cfg)
	require.NoError(t, err)
	defer r.Close()
	first, err := r.host()
	require.NoError(t, err)
	assert.Nil(t, first.Used.CPU, "nothing to compare with yet")
	assert.LessOrEqual(t, first.Capacity.CPU, float64(runtime.NumCPU()))
	assert.Positive(t, *first.Used.Memory)
	assert.Positive(t, *first.Used.Disk)
	assert.Regexp(t, `^processes, Linux \d+\.\d+$`, first.Engine)

	for began := time.Now(); time.Since(began) < 200*time.Millisecond; {
	}
	second, err := r.host()
	require.NoError(t, err)
	require.NotNil(t, second.Used.CPU)
	assert.Greater(t, *second.Used.CPU, 0.3, "one core was busy")

	cfg.Capacity = pod.Resources{CPU: 0.25, Memory: 12345}
	set, err := New(cfg)
	require.NoError(t, err)
	defer set.Close()
	h, err := set.host()
	require.NoError(t, err)
	assert.Equal(t, cfg.Capacity, h.Capacity)
}
