package haproxy

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/balancertest"
)

// scene is what a helper process sets up before it is killed.
type scene struct {
	Front   balancer.Front
	Servers []balancer.Server
	Every   time.Duration // between observations
}

// helperManager is the test program in another role: it manages an HAProxy in
// dir until it is killed.
func helperManager(dir string) {
	var s scene
	err := json.Unmarshal([]byte(os.Getenv("HAPROXY_TEST_SCENE")), &s)
	var b *Balancer
	if err == nil {
		b, err = New(Config{Dir: dir})
	}
	ctx := context.Background()
	if err == nil {
		err = b.SetFront(ctx, s.Front)
	}
	if err == nil {
		err = b.Apply(ctx, s.Front.Name, s.Servers)
	}
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	fmt.Println("ready", b.PID())
	for {
		_, _ = b.Observe(ctx)
		_ = b.Apply(ctx, s.Front.Name, s.Servers)
		time.Sleep(max(s.Every, 10*time.Millisecond))
	}
}

// manager starts a helper process that manages an HAProxy in dir.
func manager(t testing.TB, dir string, s scene) (cmd *exec.Cmd, haproxy int) {
	t.Helper()
	data, err := json.Marshal(s)
	require.NoError(t, err)
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "HAPROXY_TEST_MANAGER="+dir, "HAPROXY_TEST_SCENE="+string(data))
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { // also when the test failed before it killed it
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	_, err = fmt.Sscanf(line, "ready %d", &haproxy)
	require.NoError(t, err, strings.TrimSpace(line))
	return cmd, haproxy
}

func TestOutlivesItsManager(t *testing.T) {
	dir := testDir(t)
	a, d := newNode(t, "a"), newNode(t, "d")
	s := scene{
		Front:   balancer.Front{Name: "web", Listen: balancertest.FreeAddr(t), MaxConn: 50},
		Servers: []balancer.Server{a.server(), {Name: "d", Addr: d.addr, Weight: 7, State: balancer.Drain}},
	}
	cmd, pid := manager(t, dir, s)
	l := startLoad(t, s.Front.Listen, 100, "GET", "POST")
	time.Sleep(200 * time.Millisecond)
	require.NoError(t, cmd.Process.Signal(syscall.SIGKILL))
	_ = cmd.Wait()
	time.Sleep(200 * time.Millisecond)

	b := reopenBalancer(t, dir)
	assert.Equal(t, pid, b.PID(), "the same HAProxy")
	st := observe(t, b, "web")
	assert.Equal(t, s.Front.Listen, st.Listen)
	require.Len(t, st.Servers, 2)
	assert.Equal(t, "a", st.Servers[0].Name)
	assert.Equal(t, a.addr, st.Servers[0].Addr)
	assert.Equal(t, balancer.Ready, st.Servers[0].State)
	assert.Equal(t, 7, st.Servers[1].Weight)
	assert.Equal(t, balancer.Drain, st.Servers[1].State)

	// It is managed again: the same is no change, something else is.
	setFront(t, b, s.Front)
	apply(t, b, "web", s.Servers...)
	e := newNode(t, "e")
	apply(t, b, "web", a.server(), e.server())
	time.Sleep(200 * time.Millisecond)
	s.Front.MaxConn = 60
	setFront(t, b, s.Front)
	time.Sleep(200 * time.Millisecond)
	assert.Equal(t, pid, b.PID())
	l.end(t)
	assert.NotZero(t, e.hits.Load())
	assert.Zero(t, d.hits.Load(), "the one that drains got nothing, whoever managed")
	assert.NotZero(t, observe(t, b, "web").Latency.Count, "response times come to the new manager")
}

func TestFoundAgainByItsSocketWithoutItsPID(t *testing.T) {
	dir := testDir(t)
	b := reopenBalancer(t, dir)
	f := balancer.Front{Name: "web", Listen: balancertest.FreeAddr(t)}
	setFront(t, b, f)
	pid := b.PID()
	require.NotZero(t, pid)
	require.NoError(t, b.Close())
	// As if the manager had been killed between the start and the note of it.
	st, err := b.cfg.loadState()
	require.NoError(t, err)
	st.Master = process{}
	running := st.Current
	st.Next, st.Current = &running, revision{}
	require.NoError(t, b.cfg.saveState(st))

	b = reopenBalancer(t, dir)
	assert.Equal(t, pid, b.PID())
	assert.Equal(t, f.Listen, observe(t, b, "web").Listen)
}

// The manager was killed when it had just started an HAProxy, which does not
// answer yet; and it left half of a state.
func TestFoundAgainBeforeItAnswers(t *testing.T) {
	dir := testDir(t)
	b := reopenBalancer(t, dir)
	f := balancer.Front{Name: "web", Listen: balancertest.FreeAddr(t)}
	setFront(t, b, f)
	pid := b.PID()
	require.NoError(t, b.Close())
	st, err := b.cfg.loadState()
	require.NoError(t, err)
	st.Master = process{}
	running := st.Current
	st.Next, st.Current = &running, revision{}
	require.NoError(t, b.cfg.saveState(st))
	half := b.cfg.path("state.json.new")
	require.NoError(t, os.WriteFile(half, []byte("{"), 0o600))

	stats := b.cfg.socket(statsSocket)
	require.NoError(t, os.Rename(stats, stats+".away"))
	back := make(chan error, 1)
	time.AfterFunc(300*time.Millisecond, func() { back <- os.Rename(stats+".away", stats) })
	b = reopenBalancer(t, dir)
	assert.Equal(t, pid, b.PID())
	assert.Equal(t, f.Listen, observe(t, b, "web").Listen)
	assert.NoFileExists(t, half)
	require.NoError(t, <-back)
}

// The manager was killed while HAProxy reloaded: its master does not answer for
// a moment.
func TestFoundAgainWhileItReloads(t *testing.T) {
	dir := testDir(t)
	b := reopenBalancer(t, dir)
	a := newNode(t, "a")
	f := balancer.Front{Name: "web", Listen: balancertest.FreeAddr(t)}
	setFront(t, b, f)
	apply(t, b, "web", a.server())
	pid := b.PID()
	for range 5 {
		require.NoError(t, b.Close())
		_, err := ask(ctxFor(t), b.cfg.socket(masterSocket), "reload")
		require.True(t, err == nil || errors.Is(err, errNoAnswer), "%v", err)
		b = reopenBalancer(t, dir)
		assert.Equal(t, pid, b.PID())
		assert.Equal(t, f.Listen, observe(t, b, "web").Listen)
		apply(t, b, "web", a.server())
		assert.Len(t, observe(t, b, "web").Servers, 1)
	}
}

// A front that is removed leaves no socket, nor does one of which the manager
// was killed at its removal.
func TestRemovedFrontLeavesNoSocket(t *testing.T) {
	dir := testDir(t)
	b := reopenBalancer(t, dir)
	setFront(t, b, balancer.Front{Name: "web", Listen: balancertest.FreeAddr(t)})
	setFront(t, b, balancer.Front{Name: "other", Listen: balancertest.FreeAddr(t)})
	require.FileExists(t, b.cfg.relaySocket("other"))
	require.NoError(t, b.RemoveFront(ctxFor(t), "other"))
	assert.NoFileExists(t, b.cfg.relaySocket("other"))
	left := b.cfg.relaySocket("gone")
	require.NoError(t, os.WriteFile(left, nil, 0o600))
	require.NoError(t, b.Close())
	b = reopenBalancer(t, dir)
	assert.NoFileExists(t, left)
	assert.FileExists(t, b.cfg.relaySocket("web"))
}

func TestSecondOnTheSameDirectoryIsRefused(t *testing.T) {
	dir := testDir(t)
	b := reopenBalancer(t, dir)
	_, err := New(Config{Dir: dir})
	require.ErrorContains(t, err, "in use by another balancer")
	require.NoError(t, b.Close())
	reopenBalancer(t, dir)
}
