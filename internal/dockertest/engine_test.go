package dockertest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/cli/cli/connhelper"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/docker/go-connections/nat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/internal/dockertest"
)

// traces returns what of an engine is visible on this machine.
func traces(t *testing.T, e *dockertest.Engine) []string {
	t.Helper()
	dir := strings.TrimSuffix(e.Socket, "/d.sock")
	var found []string
	if _, err := os.Stat(dir); err == nil {
		found = append(found, "directory "+dir)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	require.NoError(t, err)
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, dir) {
			found = append(found, "mount "+line)
		}
	}
	prefix := e.PeerIP[:strings.LastIndex(e.PeerIP, ".")+1]
	slot := strings.TrimPrefix(e.Bridge(), "epbr")
	for _, argv := range [][]string{
		{"iptables", "-w", "-S"}, {"iptables", "-w", "-t", "nat", "-S"}, {"ip", "-o", "addr"}, {"ip", "netns"}, {"ps", "-eo", "args"},
	} {
		out, err := exec.Command(argv[0], argv[1:]...).Output()
		require.NoError(t, err)
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, e.Bridge()+" ") || strings.Contains(line, prefix) || strings.Contains(line, dir) ||
				strings.HasPrefix(line, "epns"+slot+" ") || strings.HasPrefix(line, "epns"+slot+"\n") {
				found = append(found, argv[0]+" "+line)
			}
		}
	}
	return found
}

func launch(t *testing.T, o dockertest.Options) *dockertest.Engine {
	t.Helper()
	e, err := dockertest.Launch(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, e.Close()) })
	return e
}

// serve runs the test image, its port published on the engine's host, and
// returns the container's id and address.
func serve(t *testing.T, e *dockertest.Engine) (id, url string) {
	t.Helper()
	c, err := e.Client()
	require.NoError(t, err)
	defer c.Close()
	made, err := c.ContainerCreate(t.Context(), &container.Config{Image: "app", ExposedPorts: nat.PortSet{"8080/tcp": {}}},
		&container.HostConfig{PortBindings: nat.PortMap{"8080/tcp": {{HostIP: e.IP}}}}, nil, nil, "")
	require.NoError(t, err)
	require.NoError(t, c.ContainerStart(t.Context(), made.ID, container.StartOptions{}))
	info, err := c.ContainerInspect(t.Context(), made.ID)
	require.NoError(t, err)
	return made.ID, "http://" + e.IP + ":" + info.NetworkSettings.Ports["8080/tcp"][0].HostPort
}

func answers(t *testing.T, url string) {
	t.Helper()
	assert.EventuallyWithT(t, func(c *assert.CollectT) {
		answer, err := http.Get(url)
		require.NoError(c, err)
		answer.Body.Close()
	}, 10*time.Second, 20*time.Millisecond)
}

func ping(t *testing.T, opts ...client.Opt) error {
	t.Helper()
	c, err := client.NewClientWithOpts(append(opts, client.WithAPIVersionNegotiation())...)
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Ping(t.Context())
	return err
}

func TestLocalEngineSurvivesKillAndLeavesNothing(t *testing.T) {
	e := launch(t, dockertest.Options{Flags: []string{"--live-restore"}})
	e.BuildScratch(t, "app", dockertest.GoBinary(t, "./testdata/app"))
	id, url := serve(t, e)
	answers(t, url)
	first := e.PID()
	require.NoError(t, e.Kill())
	require.Zero(t, e.PID())
	require.Error(t, ping(t, client.WithHost(e.Address())))
	require.NoError(t, e.Restart(t.Context()))
	require.NotEqual(t, first, e.PID())
	answers(t, url)
	c, err := e.Client()
	require.NoError(t, err)
	defer c.Close()
	info, err := c.ContainerInspect(t.Context(), id)
	require.NoError(t, err)
	assert.True(t, info.State.Running, "live-restore")

	require.NotEmpty(t, traces(t, e), "the check for traces sees a running engine")
	require.NoError(t, e.Close())
	assert.Empty(t, traces(t, e))
	require.NoError(t, e.Close(), "twice")
}

func TestKilledEngineWithContainersLeavesNothing(t *testing.T) {
	e := launch(t, dockertest.Options{})
	e.BuildScratch(t, "app", dockertest.GoBinary(t, "./testdata/app"))
	_, url := serve(t, e)
	answers(t, url)
	require.NoError(t, e.Kill())
	require.NoError(t, e.Close())
	assert.Empty(t, traces(t, e))
}

func TestRemoteEngineByTLSAndSSH(t *testing.T) {
	e := launch(t, dockertest.Options{Remote: true, TLS: true, SSH: true})
	e.BuildScratch(t, "app", dockertest.GoBinary(t, "./testdata/app"))
	_, url := serve(t, e)
	answers(t, url)

	assert.NoError(t, ping(t, client.WithHost(e.TCP), client.WithTLSClientConfig(e.TLS.CA, e.TLS.Cert, e.TLS.Key)))
	assert.Error(t, ping(t, client.WithHost(e.TCP)), "without a certificate")

	t.Setenv("PATH", e.SSHPath+":"+os.Getenv("PATH"))
	helper, err := connhelper.GetConnectionHelper(e.SSH)
	require.NoError(t, err)
	assert.NoError(t, ping(t, client.WithHost(helper.Host), client.WithDialContext(helper.Dialer)))

	require.NoError(t, e.Close())
	assert.Empty(t, traces(t, e))
}

func TestEnginesSideBySide(t *testing.T) {
	a := launch(t, dockertest.Options{})
	b := launch(t, dockertest.Options{})
	assert.NotEqual(t, a.Bridge(), b.Bridge())
	assert.NotEqual(t, a.IP, b.IP)
	bin := dockertest.GoBinary(t, "./testdata/app")
	for _, e := range []*dockertest.Engine{a, b} {
		e.BuildScratch(t, "app", bin)
		_, url := serve(t, e)
		answers(t, url)
	}
	require.NoError(t, a.Close())
	_, url := serve(t, b)
	answers(t, url)
}

// An engine without its proxy makes the ports that the engines of other tests
// publish on the loopback of the machine not answer.
func TestEngineWithoutProxyMustBeRemote(t *testing.T) {
	_, err := dockertest.Launch(t.Context(), dockertest.Options{Flags: []string{"--userland-proxy=false"}})
	require.ErrorContains(t, err, "make it Remote")
}

func TestMissingProgramNamesThePackage(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := dockertest.Launch(t.Context(), dockertest.Options{SSH: true})
	require.Error(t, err)
	for _, pkg := range []string{"docker.io", "iproute2", "openssh-server"} {
		assert.ErrorContains(t, err, "apt-get install "+pkg)
	}
}

func TestFailedLaunchLeavesNothing(t *testing.T) {
	_, err := dockertest.Launch(t.Context(), dockertest.Options{Flags: []string{"--no-such-flag"}})
	require.ErrorContains(t, err, "no-such-flag", "what dockerd said is in the error")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = dockertest.Launch(ended, dockertest.Options{Remote: true})
	require.True(t, errors.Is(err, context.Canceled), "%v", err)
	assert.Empty(t, mine(t), "nothing is left")
}

// mine returns the engines' directories whose slots nobody holds, but which say
// that this process made them: none, unless something was left behind.
func mine(t *testing.T) []string {
	t.Helper()
	slots, err := filepath.Glob("/tmp/elastipod-dockertest/[0-9]*")
	require.NoError(t, err)
	var left []string
	for _, path := range slots {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		require.NoError(t, err)
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			if dir, _ := io.ReadAll(f); len(dir) > 0 {
				left = append(left, string(dir))
			}
		}
		require.NoError(t, f.Close())
	}
	return left
}

// TestEngineOfAKilledProcessIsRemoved kills a test process that runs an engine
// with a container, and expects the next engine's start to clear up.
func TestEngineOfAKilledProcessIsRemoved(t *testing.T) {
	if os.Getenv("DOCKERTEST_VICTIM") != "" {
		e := launch(t, dockertest.Options{})
		e.BuildScratch(t, "app", os.Getenv("DOCKERTEST_VICTIM"))
		serve(t, e)
		slot := strings.TrimPrefix(e.Bridge(), "epbr")
		fmt.Println("victim", slot, e.Socket, e.PID())
		select {}
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestEngineOfAKilledProcessIsRemoved$")
	cmd.Env = append(os.Environ(), "DOCKERTEST_VICTIM="+dockertest.GoBinary(t, "./testdata/app"))
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var slot, pid int
	var socket string
	_, err = fmt.Fscanf(bufio.NewReader(out), "victim %d %s %d\n", &slot, &socket, &pid)
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	require.NoError(t, err)
	require.DirExists(t, filepath.Dir(socket))

	e := launch(t, dockertest.Options{})
	assert.NoDirExists(t, filepath.Dir(socket))
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	assert.True(t, err != nil || strings.Contains(string(stat), ") Z "), "dockerd is gone: %s", stat)
	links, err := exec.Command("ip", "-o", "addr").Output()
	require.NoError(t, err)
	if e.Bridge() != fmt.Sprintf("epbr%d", slot) {
		assert.NotContains(t, string(links), fmt.Sprintf("epbr%d ", slot))
	}
	assert.Empty(t, mine(t))
}
