package process

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/elastipod/elastipod/pod"
)

func TestConfigFaults(t *testing.T) {
	_, err := New(Config{
		Cluster: pod.Cluster{Name: "../up", ID: "a/b"}, Dir: "relative", Supervisor: []string{"no-such-program"},
		WorkDir: "here", Capacity: pod.Resources{CPU: -1}, PortMin: 80, PortMax: 70,
	})
	var faults pod.Faults
	require.True(t, errors.As(err, &faults))
	var paths []string
	for _, f := range faults {
		paths = append(paths, f.Path)
		assert.NotEmpty(t, f.Allowed, f.Path)
	}
	assert.Equal(t, []string{"cluster.name", "cluster.id", "dir", "supervisor[0]", "work_dir", "capacity", "port_min"}, paths)

	_, err = New(Config{Cluster: testCluster, Dir: "/tmp"})
	assert.ErrorContains(t, err, "supervisor: is empty")
}

func TestDirIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	r := open(t, dir)
	start(t, r, "n1", serving())
	for _, p := range []string{dir, r.clusterDir(), r.nodeDir(id("n1"))} {
		info, err := os.Stat(p)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o700), info.Mode().Perm(), p)
	}
	assert.NoFileExists(t, filepath.Join(r.nodeDir(id("n1")), runFile), "the environment does not stay on disk")
}

func TestReservePort(t *testing.T) {
	const low, high = 21000, 21003
	taken, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(low))
	require.NoError(t, err)
	defer taken.Close()
	seen := map[int]*os.File{}
	for range 3 {
		port, f, err := reservePort(low, high)
		require.NoError(t, err)
		defer f.Close()
		assert.Nil(t, seen[port], "%d is given once", port)
		seen[port] = f
	}
	assert.NotContains(t, seen, low, "another program has it")
	_, _, err = reservePort(low, high)
	assert.ErrorIs(t, err, unix.EADDRINUSE)

	// A program that does not set SO_REUSEADDR can have the port.
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	require.NoError(t, unix.Bind(fd, &unix.SockaddrInet4{Port: low + 1}))

	require.NoError(t, seen[low+2].Close())
	port, f, err := reservePort(low, high)
	require.NoError(t, err)
	defer f.Close()
	assert.Equal(t, low+2, port, "it is free again")
}

func TestEnvironment(t *testing.T) {
	t.Setenv("PATH", "/a:/b")
	t.Setenv("HOME", "/home/me")
	q := pod.StartRequest{ID: id("n1"), Workload: pod.Workload{
		Env: map[string]string{"A": "1", "HOME": "/mine"}, Ports: map[string]int{"http": 1, "a-b": 2},
	}}
	assert.ElementsMatch(t, []string{
		"PATH=/a:/b", "HOME=/mine", "A=1", "ELASTIPOD_POD=web", "ELASTIPOD_NODE=n1", "ELASTIPOD_RUN=mark", "ELASTIPOD_SECRETS=/s",
		"PORT=7001", "PORT_HTTP=7001", "PORT_A_B=7002",
	}, environment(q, nil, map[string]int{"http": 7001, "a-b": 7002}, "mark", "/s"))
	assert.Contains(t, environment(pod.StartRequest{}, &credential{Home: "/theirs"}, nil, "", ""), "HOME=/theirs")
}

func TestLookPath(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "bin"), 0o700))
	prog := filepath.Join(dir, "bin", "prog")
	require.NoError(t, os.WriteFile(prog, nil, 0o700))
	for name, w := range map[string]pod.Workload{
		"absolute":      {Command: []string{prog}},
		"relative":      {Command: []string{"./bin/prog"}},
		"PATH":          {Command: []string{"prog"}, Env: map[string]string{"PATH": "/nowhere:" + dir + "/bin"}},
		"relative PATH": {Command: []string{"prog"}, Env: map[string]string{"PATH": "bin"}},
	} {
		got, err := lookPath(w, dir)
		require.NoError(t, err, name)
		assert.Equal(t, prog, got, name)
	}
	_, err := lookPath(pod.Workload{Command: []string{"bin/other"}}, dir)
	require.ErrorIs(t, err, pod.ErrImage)
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestUnsupportedNamesEveryField(t *testing.T) {
	err := unsupported(pod.Workload{Image: "x", Entrypoint: []string{"x"}, CapAdd: []string{"X"}, ExtraHosts: map[string]string{"a": "b"}}, "sha256:aa")
	require.ErrorIs(t, err, pod.ErrUnsupported)
	for _, field := range []string{"workload.image", "workload.entrypoint", "workload.cap_add", "workload.extra_hosts", "workload.command", "workload.digest"} {
		assert.ErrorContains(t, err, field)
	}
}
