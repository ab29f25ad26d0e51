package process

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/pod"
)

// Whatever a node's state holds, what is observed of it is sound, and nothing but
// its own directory is removed.
func FuzzState(f *testing.F) {
	const ids = `{"id":{"Pod":"web","Name":"n1"},"revision":"r1","endpoints":{"http":"127.0.0.1:20001"},"mark":"00112233445566ff","boot":"BOOT",` +
		`"supervisor":{"pid":99999999,"start":5},"main":{"pid":99999998,"start":6},"started_at":"2026-11-23T20:00:00Z"`
	f.Add([]byte(ids + `}`))
	f.Add([]byte(ids + `,"exit":{"Code":1,"LastLog":["no such table"]},"secrets":"ELSEWHERE"}`))
	f.Add([]byte(strings.ReplaceAll(ids, "BOOT", "before") + `}`))
	f.Add([]byte(strings.ReplaceAll(ids, "00112233445566ff", "") + `}`))
	f.Add([]byte(`{"id":{"Pod":"web","Name":"n2"}}`))
	f.Add([]byte(`{"supervisor":{"pid":-1,"start":0}}`))
	f.Add([]byte(nil))
	boot, err := bootID()
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, text []byte) {
		dir, elsewhere := t.TempDir(), t.TempDir()
		kept := filepath.Join(elsewhere, "kept")
		require.NoError(t, os.WriteFile(kept, nil, 0o600))
		r, err := New(config(dir, testCluster))
		require.NoError(t, err)
		defer r.Close()
		other, err := New(config(dir, pod.Cluster{Name: testCluster.Name, ID: "another"}))
		require.NoError(t, err)
		defer other.Close()
		text = bytes.ReplaceAll(text, []byte("BOOT"), []byte(boot))
		text = bytes.ReplaceAll(text, []byte("ELSEWHERE"), []byte(elsewhere))
		node := r.nodeDir(id("n1"))
		require.NoError(t, os.MkdirAll(node, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(node, stateFile), text, 0o600))

		if left, err := other.Salvage(t.Context()); err == nil {
			for _, s := range left {
				assert.Equal(t, testCluster.ID, s.ClusterID)
				sound(t, s.Node)
			}
		}
		snap, err := r.Observe(t.Context())
		require.NoError(t, err, "one bad state does not hide the others")
		for _, n := range snap.Nodes {
			sound(t, n)
		}
		if s, err := readState(node); err == nil && s.Supervisor.alive() {
			return // a process of somebody's; it is not ours to end
		}
		require.NoError(t, stopError(r.Stop(t.Context(), id("n1"), 0)))
		assert.NoDirExists(t, node)
		assert.FileExists(t, kept)
	})
}

func sound(t *testing.T, n pod.Node) {
	t.Helper()
	assert.Equal(t, id("n1"), n.ID)
	assert.Contains(t, []pod.Phase{pod.PhaseRunning, pod.PhaseExited}, n.Phase)
	assert.Equal(t, n.Phase == pod.PhaseExited, n.Exit != nil)
	assert.GreaterOrEqual(t, n.Usage.CPU, time.Duration(0))
	assert.GreaterOrEqual(t, n.Usage.Memory, int64(0))
}

func FuzzProc(f *testing.F) {
	for _, name := range []string{"stat", "environ"} {
		b, err := os.ReadFile("/proc/self/" + name)
		require.NoError(f, err)
		f.Add(b)
	}
	f.Add([]byte("9 (a) b) S 7 1 1 0 -1 4194560 1 2 3 4 18446744073709551615 22 -33 44 20 0 1 0 99999999999999999999 666\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if s, err := parseStat(9, text); err == nil {
			assert.Equal(t, 9, s.PID)
			assert.GreaterOrEqual(t, s.ppid, 0)
			table := processTable{stats: map[int]procStat{9: s, 10: s}, children: map[int][]int{9: {10}}}
			r := &Runtime{nodes: map[pod.NodeID]*known{}}
			u := r.usage(nodeState{Supervisor: s.procRef}, table, time.Now())
			assert.GreaterOrEqual(t, u.CPU, time.Duration(0))
		}
		assert.LessOrEqual(t, tailStart(text, pod.LastLogLines), len(text))
	})
}

func FuzzOwnCgroup(f *testing.F) {
	f.Add("0::/a/b\n", "150000 100000", "max", "5000", "anon 1\ninactive_file 2000\n")
	f.Add("4:memory:/a\n1:cpu,cpuacct:/a/b\n", "-1", "9223372036854771712", "-5", "total_inactive_file -9\n")
	f.Add("0::/../../etc\n", "1 0", "1", "1", "inactive_file 9223372036854775807")
	f.Fuzz(func(t *testing.T, self, cpu, limit, used, stat string) {
		if len(self) > 4096 { // as long as the kernel's paths
			return
		}
		root := t.TempDir()
		for name, content := range map[string]string{
			"cpu.max": cpu, "memory.max": limit, "memory.current": used, "memory.stat": stat,
			"cpu.cfs_quota_us": cpu, "cpu.cfs_period_us": "100000", "memory.limit_in_bytes": limit, "memory.usage_in_bytes": used,
		} {
			for _, dir := range []string{"a", "cpu/a", "memory/a"} {
				path := filepath.Join(root, dir, name)
				require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
				require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
			}
		}
		g := readCgroup(self, root)
		assert.True(t, g.cpus >= 0 && !math.IsInf(g.cpus, 0), "%v CPUs", g.cpus)
		assert.GreaterOrEqual(t, g.memory, int64(0))
		assert.GreaterOrEqual(t, g.memoryUsed, int64(0))
	})
}
