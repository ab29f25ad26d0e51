package serve_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/wire"
)

// process is a server in a process of its own.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	url    string
	ended  chan struct{}
	mu     sync.Mutex
	out    bytes.Buffer
	code   int
	signal time.Time // when it was asked to end
}

// launch starts a server and waits until it is ready, or has ended.
func launch(t *testing.T, args ...string) *process {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	return launchProgram(t, exe, args...)
}

func launchProgram(t *testing.T, exe string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(exe, args...), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), "SERVE_TEST=1")
	stdout, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	p.cmd.Stderr = p
	require.NoError(t, p.cmd.Start())
	t.Cleanup(p.kill)
	ready := make(chan struct{})
	go func() {
		defer close(p.ended)
		once := sync.OnceFunc(func() { close(ready) })
		defer once()
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			fmt.Fprintln(p, lines.Text())
			if url, ok := strings.CutPrefix(lines.Text(), "  API   "); ok {
				p.url = url
			}
			if strings.HasPrefix(lines.Text(), "  data  ") {
				once()
			}
		}
		_ = p.cmd.Wait()
		p.code = p.cmd.ProcessState.ExitCode()
	}()
	select {
	case <-ready:
	case <-time.After(30 * time.Second):
		t.Fatalf("the server is not ready:\n%s", p.output())
	}
	return p
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

func (p *process) ask(s os.Signal) {
	p.signal = time.Now()
	require.NoError(p.t, p.cmd.Process.Signal(s))
}

// exit waits for the end and returns the exit code and how long it took.
func (p *process) exit() (int, time.Duration) {
	select {
	case <-p.ended:
	case <-time.After(90 * time.Second):
		p.t.Fatalf("the server does not end:\n%s", p.output())
	}
	return p.code, time.Since(p.signal)
}

func (p *process) get(path string, into any) error {
	r, err := http.Get(p.url + path)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if r.StatusCode >= 300 {
		return fmt.Errorf("%s: %s: %s", path, r.Status, body)
	}
	return json.Unmarshal(body, into)
}

// nodes waits until that many nodes of the pod are online, and returns them.
func (p *process) nodes(pod string, want int) []wire.Node {
	p.t.Helper()
	var list wire.List[wire.Node]
	var err error
	deadline := time.Now().Add(60 * time.Second)
	for time.Now().Before(deadline) {
		list = wire.List[wire.Node]{}
		err = p.get("/v1/pods/"+pod+"/nodes", &list)
		if err == nil && len(list.Items) == want && !slices.ContainsFunc(list.Items, func(n wire.Node) bool { return n.State != "online" }) {
			return list.Items
		}
		time.Sleep(20 * time.Millisecond)
	}
	p.t.Fatalf("pod %s has not %d nodes online: %v, %+v\n%s", pod, want, err, list.Items, p.output())
	return nil
}

func endpoints(nodes []wire.Node) []string {
	var out []string
	for _, n := range nodes {
		out = append(out, n.Name+" "+n.Endpoints["http"])
	}
	slices.Sort(out)
	return out
}

func answers(address string) bool {
	r, err := (&http.Client{Timeout: 2 * time.Second}).Get("http://" + address + "/healthz")
	if err != nil {
		return false
	}
	r.Body.Close()
	return r.StatusCode == http.StatusOK
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// dataDir returns a short directory: sockets lie in it.
func dataDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "ep")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// configFile writes a configuration with one pod of two nodes.
func configFile(t *testing.T, front string) string {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "server.yaml")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `
tick: 100ms
log: {format: json, level: debug}
pods:
- name: web
  workload:
    command: [%q, workload, --bind, 127.0.0.1, light]
    ports: {http: 8080}
    probe: {http: /healthz}
  limits: {cpu: 0.1, memory: 32MiB}
  max_nodes: 4
  nodes: 2
  fronts: [{listen: %q}]
`, exe, front), 0o600))
	return file
}

// TestLife takes a server through its ends and beginnings: what it was told and
// what it started is still there each time.
func TestLife(t *testing.T) {
	front, data := freeAddress(t), dataDir(t)
	args := []string{"--listen", "127.0.0.1:0", "--config", configFile(t, front), "--data", data}
	p := launch(t, args...)
	t.Cleanup(func() { // whatever happened, nothing stays behind
		p := launch(t, append(args, "--stop-nodes")...)
		p.ask(syscall.SIGTERM)
		p.exit()
	})
	before := endpoints(p.nodes("web", 2))
	assert.True(t, answers(front))

	t.Log("a second server refuses")
	second := launch(t, args...)
	code, _ := second.exit()
	assert.Equal(t, 1, code)
	assert.Contains(t, second.output(), fmt.Sprintf("in use by another process (process %d, ", p.cmd.Process.Pid))
	second = launch(t, "--listen", strings.TrimPrefix(p.url, "http://"), "--data", dataDir(t))
	code, _ = second.exit()
	assert.Equal(t, 1, code)
	assert.Contains(t, second.output(), "is taken by another program; end that one, or choose another address with --listen")

	t.Log("SIGTERM: a request in flight ends, nodes go on")
	inFlight := make(chan string, 1)
	go func() {
		r, err := http.Get("http://" + front + "/work?sleep=1s")
		if err != nil {
			inFlight <- err.Error()
			return
		}
		r.Body.Close()
		inFlight <- r.Status
	}()
	time.Sleep(200 * time.Millisecond)
	p.ask(syscall.SIGTERM)
	code, took := p.exit()
	assert.Zero(t, code, p.output())
	assert.Less(t, took, 10*time.Second)
	assert.Equal(t, "200 OK", <-inFlight)
	for _, n := range before {
		_, address, _ := strings.Cut(n, " ")
		assert.True(t, answers(address), "node %s ended with the server", n)
	}

	t.Log("the next one adopts them, also after SIGKILL")
	for range 2 {
		p = launch(t, args...)
		assert.Equal(t, before, endpoints(p.nodes("web", 2)))
		assert.True(t, answers(front))
		p.kill()
	}

	t.Log("under another name they would be lost: it is refused")
	other := filepath.Join(t.TempDir(), "other.yaml")
	require.NoError(t, os.WriteFile(other, []byte("cluster: other\n"), 0o600))
	second = launch(t, "--listen", "127.0.0.1:0", "--config", other, "--data", data)
	code, _ = second.exit()
	assert.Equal(t, 1, code)
	assert.Contains(t, second.output(), `are those of cluster "elastipod", not of "other"; use that name, or another directory with --data`)

	t.Log("--stop-nodes ends them, and keeps what is wanted")
	p = launch(t, append(args, "--stop-nodes")...)
	assert.Equal(t, before, endpoints(p.nodes("web", 2)))
	p.ask(syscall.SIGINT)
	code, took = p.exit()
	assert.Zero(t, code, p.output())
	t.Logf("stopping two nodes took %s", took)
	for _, n := range before {
		_, address, _ := strings.Cut(n, " ")
		assert.False(t, answers(address), "node %s is still there", n)
	}
	p = launch(t, args...)
	assert.NotEqual(t, before, endpoints(p.nodes("web", 2)), "names are never used again")
	assert.NotContains(t, p.output(), `"level":"ERROR"`)
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	front, data := freeAddress(t), dataDir(t)
	args := []string{"--listen", "127.0.0.1:0", "--config", configFile(t, front), "--data", data, "--stop-nodes"}
	p := launch(t, args...)
	t.Cleanup(func() {
		p := launch(t, args...)
		p.ask(syscall.SIGTERM)
		code, _ := p.exit()
		assert.Zero(t, code, p.output())
	})
	p.nodes("web", 2)
	go func() { // keeps a node from being stopped for a while
		if r, err := http.Get("http://" + front + "/work?sleep=20s"); err == nil {
			r.Body.Close()
		}
	}()
	time.Sleep(300 * time.Millisecond)
	p.ask(syscall.SIGTERM)
	p.ask(os.Interrupt) // at the same time, as timeout(1) signals a process and its group
	select {
	case <-p.ended:
		t.Fatalf("the server did not wait for the request:\n%s", p.output())
	case <-time.After(700 * time.Millisecond):
	}
	p.ask(syscall.SIGTERM)
	code, took := p.exit()
	assert.Equal(t, 1, code)
	assert.Less(t, took, time.Second)
	assert.Contains(t, p.output(), "a second signal: ending at once")
}
