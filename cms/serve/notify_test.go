package serve_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/serve"
	"github.com/elastipod/elastipod/elastic"
)

// manager is a service manager that listens, as systemd does.
type manager struct {
	t      *testing.T
	socket string
	heard  chan string
}

func newManager(t *testing.T) *manager {
	t.Helper()
	m := &manager{t: t, socket: filepath.Join(dataDir(t), "notify"), heard: make(chan string, 10_000)}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.socket, Net: "unixgram"})
	require.NoError(t, err)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for buf := make([]byte, 4096); ; {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			m.heard <- string(buf[:n])
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-ended
	})
	t.Setenv("NOTIFY_SOCKET", m.socket)
	return m
}

// await returns the first message that holds the text, and those before it.
func (m *manager) await(text string) (message string, before []string) {
	m.t.Helper()
	limit := time.After(30 * time.Second)
	for {
		select {
		case s := <-m.heard:
			if strings.Contains(s, text) {
				return s, before
			}
			before = append(before, s)
		case <-limit:
			m.t.Fatalf("%s was not said, but %q", text, before)
		}
	}
}

// quiet waits until no sign of life has come for so long.
func (m *manager) quiet(silence time.Duration) {
	m.t.Helper()
	limit, timer := time.After(30*time.Second), time.NewTimer(silence)
	for {
		select {
		case s := <-m.heard:
			if strings.Contains(s, "WATCHDOG=1") {
				timer.Reset(silence)
			}
		case <-timer.C:
			return
		case <-limit:
			m.t.Fatal("signs of life go on")
		}
	}
}

// TestNotify takes a server through its life and listens to what systemd hears.
func TestNotify(t *testing.T) {
	m := newManager(t)
	t.Setenv("WATCHDOG_USEC", "1000000")
	front, data := freeAddress(t), dataDir(t)
	file := configFile(t, front)
	args := []string{"--listen", "127.0.0.1:0", "--config", file, "--data", data, "--stop-nodes"}
	p := launch(t, args...)
	ready, before := m.await("READY=1")
	assert.Empty(t, before, "nothing is said before")
	assert.Regexp(t, `^READY=1\nSTATUS=1 pod, 2 nodes \(\d online\), 1 host$`, ready)
	assert.NotEmpty(t, p.url, "it listens")
	if !strings.Contains(ready, "(2 online)") {
		m.await("STATUS=1 pod, 2 nodes (2 online), 1 host")
	}
	for range 3 {
		m.await("WATCHDOG=1")
	}

	p.ask(syscall.SIGHUP)
	reloading, _ := m.await("RELOADING=1")
	stamp := regexp.MustCompile(`\nMONOTONIC_USEC=(\d+)\n`).FindStringSubmatch(reloading)
	require.NotNil(t, stamp, reloading)
	at, err := strconv.ParseInt(stamp[1], 10, 64)
	require.NoError(t, err)
	assert.InDelta(t, monotonic(t), float64(at), 30e6, "microseconds of the same clock as systemd's")
	m.await("READY=1\nSTATUS=1 pod")

	require.NoError(t, os.WriteFile(file, []byte("nonsense: 1\n"), 0o600))
	p.ask(syscall.SIGHUP)
	m.await("RELOADING=1")
	m.await("READY=1") // also where it came to nothing
	m.await("WATCHDOG=1")

	p.ask(syscall.SIGTERM)
	stopping, _ := m.await("STOPPING=1")
	assert.Equal(t, "STOPPING=1\nEXTEND_TIMEOUT_USEC=71000000\nSTATUS=stopping", stopping, "10 s, and a minute for the nodes")
	code, _ := p.exit()
	assert.Zero(t, code, p.output())
}

// monotonic is the time since the machine was started, in microseconds.
func monotonic(t *testing.T) float64 {
	t.Helper()
	data, err := os.ReadFile("/proc/uptime")
	require.NoError(t, err)
	seconds, err := strconv.ParseFloat(strings.Fields(string(data))[0], 64)
	require.NoError(t, err)
	return seconds * 1e6
}

// stuck is a policy that hangs while it is told to.
type stuck struct{ hang chan struct{} }

func (s stuck) Decide(o elastic.Observation) elastic.Decision {
	<-s.hang
	return elastic.Hold(o.Want, elastic.RuleManual, "")
}

// TestNoSignOfLifeFromAManagerThatHangs: systemd must end a manager one of whose
// loops stands still, and must not end one that has a host which does not answer.
func TestNoSignOfLifeFromAManagerThatHangs(t *testing.T) {
	// An engine that first refuses everything, and then never answers.
	engine := filepath.Join(dataDir(t), "docker.sock")
	l, err := net.Listen("unix", engine)
	require.NoError(t, err)
	var silent atomic.Bool
	asked := make(chan struct{}, 1000)
	docker := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if silent.Load() {
			asked <- struct{}{}
			<-r.Context().Done()
		}
		w.WriteHeader(http.StatusInternalServerError)
	})}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = docker.Serve(l) // until it is closed
	}()
	defer func() {
		docker.Close()
		<-served
	}()

	goOn := make(chan struct{})
	close(goOn)
	var hang atomic.Pointer[chan struct{}]
	hang.Store(&goOn)
	policies := elastic.NewRegistry()
	require.NoError(t, policies.Register(elastic.Kind{Name: "stuck", Summary: "Hangs.", New: func(json.RawMessage, *elastic.Registry) (elastic.Policy, error) {
		return policyFunc(func(o elastic.Observation) elastic.Decision { return stuck{*hang.Load()}.Decide(o) }), nil
	}}))

	m := newManager(t)
	t.Setenv("WATCHDOG_USEC", "1000000")
	file := filepath.Join(t.TempDir(), "server.yaml")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `
tick: 100ms
hosts: [{name: local, runtime: process}, {name: slow, runtime: docker, address: %q}]
pods:
- {name: calm, workload: {command: [sleep, "60"]}}
- {name: wild, workload: {command: [sleep, "60"]}, elasticity: {enabled: true, min: 1, max: 1, policy: {kind: stuck}}}
`, "unix://"+engine), 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	errs := &syncBuffer{}
	go func() {
		ended <- serve.Program{Policies: policies, Stderr: errs, Environ: []string{"NOTIFY_SOCKET=" + m.socket, "HOME=/nowhere", "PATH=" + os.Getenv("PATH")}}.
			Run(ctx, []string{"--listen", "127.0.0.1:0", "--config", file, "--data", filepath.Join(dataDir(t), "data"), "--stop-nodes"})
	}()
	m.await("READY=1")
	m.await("WATCHDOG=1")
	silent.Store(true)
	<-asked
	for end := time.Now().Add(1200 * time.Millisecond); time.Now().Before(end); { // longer than a loop may hang
		m.await("WATCHDOG=1")
	}

	stop := make(chan struct{})
	hang.Store(&stop)
	m.quiet(1200 * time.Millisecond)
	assert.Eventually(t, func() bool {
		return strings.Contains(errs.String(), "the loop of pod wild has stood still for")
	}, 10*time.Second, 20*time.Millisecond, errs.String)

	close(stop)
	m.await("WATCHDOG=1") // it goes on, and so do the signs of life
	cancel()
	assert.Zero(t, <-ended)
}

type policyFunc func(elastic.Observation) elastic.Decision

func (f policyFunc) Decide(o elastic.Observation) elastic.Decision { return f(o) }

// TestSocketActivation: systemd listens for the API, also on an address that the
// configuration does not name, to which the same rules apply.
func TestSocketActivation(t *testing.T) {
	exe, err := os.Executable()
	require.NoError(t, err)
	start := func(address string, args ...string) (*exec.Cmd, string, *syncBuffer) {
		l, err := net.Listen("tcp", address)
		require.NoError(t, err)
		defer l.Close()
		f, err := l.(*net.TCPListener).File()
		require.NoError(t, err)
		defer f.Close()
		out := &syncBuffer{}
		// The process that the socket is for must be named.
		cmd := exec.Command("/bin/sh", append([]string{"-c", `LISTEN_PID=$$ LISTEN_FDS=1 SERVE_TEST=1 exec "$0" "$@"`, exe, "--data", filepath.Join(dataDir(t), "data")}, args...)...)
		cmd.ExtraFiles, cmd.Stdout, cmd.Stderr = []*os.File{f}, out, out
		require.NoError(t, cmd.Start())
		t.Cleanup(func() {
			_ = cmd.Process.Kill() // it may have ended
			_ = cmd.Wait()
		})
		return cmd, l.Addr().String(), out
	}
	cmd, address, out := start("127.0.0.1:0", "--listen", "127.0.0.1:1")
	r, err := http.Get("http://" + address + "/healthz") // waits in the socket until the server is there
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, r.Body)
	require.NoError(t, err)
	require.NoError(t, r.Body.Close())
	assert.Equal(t, 200, r.StatusCode)
	assert.Eventually(t, func() bool { return strings.Contains(out.String(), "  API   http://"+address+"\n") }, 30*time.Second, 10*time.Millisecond, out.String)
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, cmd.Wait())

	cmd, _, out = start("0.0.0.0:0")
	require.Error(t, cmd.Wait())
	assert.Contains(t, out.String(), "can be reached from other machines; set a token (--token-file) and TLS (--tls-cert and --tls-key), or accept the risk with --insecure")
}

// syncBuffer is a buffer that several goroutines may use.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
