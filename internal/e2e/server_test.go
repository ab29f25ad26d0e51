//go:build e2e

package e2e

import (
	"bytes"
	"cmp"
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

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/internal/dockertest"
)

var serverBinary, cloudBinary string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("/tmp", "ep-bin")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	serverBinary, cloudBinary = filepath.Join(dir, "server"), filepath.Join(dir, "cloud")
	for path, pkg := range map[string]string{serverBinary: "examples/server", cloudBinary: "examples/cloud"} {
		cmd := exec.Command("go", "build", "-o", path, "github.com/elastipod/elastipod/"+pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build %s: %v\n%s", pkg, err, out)
			return 1
		}
	}
	code := m.Run()
	writeFaults(os.Stdout)
	return code
}

// stack is one way to run the server.
type stack struct {
	name   string
	engine *dockertest.Engine // nil: processes and the in-process balancer
	hosts  []wire.Host
	path   string // goes before PATH
	config string // further lines of the configuration
	// sockets are those of engines that are reached otherwise, by address.
	sockets map[string]string
	// haproxy is before processes, too, and not only before containers.
	haproxy bool
}

const workloadImage = "elastipod-e2e:1"

func embedded(*testing.T) *stack { return &stack{name: "embedded"} }

func onDocker(t *testing.T) *stack {
	e := dockertest.Start(t, dockertest.Options{})
	e.BuildScratch(t, workloadImage, serverBinary)
	return &stack{name: "docker", engine: e, hosts: []wire.Host{{Name: "local", Runtime: "docker", Address: e.Address()}}}
}

// server is a running server and its data, which outlive each other.
type server struct {
	t     *testing.T
	stack *stack
	dir   string
	url   string
	args  []string
	cmd   *exec.Cmd
	log   *bytes.Buffer
	logMu sync.Mutex
	ended chan struct{}

	binary string   // default: serverBinary
	env    []string // beside that of the test
}

// start starts a server with an empty store; all is gone with the test.
func start(t *testing.T, s *stack, flags ...string) *server {
	srv := prepare(t, s, flags...)
	srv.run()
	return srv
}

// prepare makes what a server needs, and does not start it.
func prepare(t *testing.T, s *stack, flags ...string) *server {
	dir, err := os.MkdirTemp("/tmp", "ep")
	require.NoError(t, err)
	listen := freeAddress(t)
	config, err := yaml.Marshal(map[string]any{"stack": map[bool]string{true: "docker", false: "embedded"}[s.engine != nil || s.haproxy]})
	require.NoError(t, err)
	config = append(config, s.config...)
	if len(s.hosts) > 0 {
		hosts, err := yaml.Marshal(map[string]any{"hosts": asMaps(t, s.hosts)})
		require.NoError(t, err)
		config = append(config, hosts...)
	}
	file := filepath.Join(dir, "server.yaml")
	require.NoError(t, os.WriteFile(file, config, 0o600))
	srv := &server{
		t: t, stack: s, dir: dir, url: "http://" + listen, log: &bytes.Buffer{},
		args: append([]string{"--config", file, "--listen", listen, "--data", filepath.Join(dir, "data")}, flags...),
	}
	t.Cleanup(func() {
		srv.stopNodes()
		if t.Failed() || os.Getenv("E2E_LOG") != "" {
			t.Logf("server's log:\n%s", srv.logText())
		}
		_ = os.RemoveAll(dir)
	})
	return srv
}

// asMaps turns values into what YAML writes with their JSON names.
func asMaps[T any](t *testing.T, values []T) []any {
	var out []any
	text, err := json.Marshal(values)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &out))
	return out
}

// Write takes the server's log.
func (s *server) Write(p []byte) (int, error) {
	s.logMu.Lock()
	defer s.logMu.Unlock()
	return s.log.Write(p)
}

func (s *server) logText() string {
	s.logMu.Lock()
	defer s.logMu.Unlock()
	return s.log.String()
}

// run starts the process and waits until it is ready.
func (s *server) run(flags ...string) {
	s.t.Helper()
	if !s.tryRun(flags...) {
		require.FailNow(s.t, "the server ended", s.logText())
	}
}

// tryRun starts the process and says whether it became ready before it ended.
func (s *server) tryRun(flags ...string) bool {
	s.t.Helper()
	s.cmd = exec.Command(cmp.Or(s.binary, serverBinary), append(slices.Clone(s.args), flags...)...)
	s.cmd.Stdout, s.cmd.Stderr = s, s
	s.cmd.Env = append(append(os.Environ(), "PATH="+s.stack.path+":"+os.Getenv("PATH")), s.env...)
	require.NoError(s.t, s.cmd.Start())
	ended := make(chan struct{})
	s.ended = ended
	go func() {
		_ = s.cmd.Wait()
		close(ended)
	}()
	ready := false
	s.eventually("the server is ready", 30*time.Second, func() bool {
		select {
		case <-ended:
			return true
		default:
		}
		resp, err := http.Get(s.url + "/readyz")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		ready = resp.StatusCode == http.StatusOK
		return ready
	})
	return ready
}

// signal ends the process and returns how long that took.
func (s *server) signal(sig syscall.Signal) time.Duration {
	s.t.Helper()
	begun := time.Now()
	require.NoError(s.t, s.cmd.Process.Signal(sig))
	select {
	case <-s.ended:
	case <-time.After(20 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.ended
		require.FailNow(s.t, "the server did not end within 20 s", s.logText())
	}
	return time.Since(begun)
}

// stopNodes ends the server and all that it made.
func (s *server) stopNodes() {
	if s.cmd == nil {
		return
	}
	select {
	case <-s.ended:
	default:
		s.signal(syscall.SIGTERM)
	}
	s.run("--stop-nodes")
	s.signal(syscall.SIGTERM)
	s.cmd = nil
}

// cloud runs the cloud command and returns what it prints.
func (s *server) cloud(args ...string) string {
	s.t.Helper()
	out, code := s.tryCloud(args...)
	require.Zero(s.t, code, "cloud %s:\n%s", strings.Join(args, " "), out)
	return out
}

func (s *server) tryCloud(args ...string) (string, int) {
	cmd := exec.Command(cloudBinary, args...)
	cmd.Env = append(os.Environ(), "CLOUD_SERVER="+s.url)
	out, _ := cmd.CombinedOutput()
	return string(out), cmd.ProcessState.ExitCode()
}

// get reads a resource of the API.
func (s *server) get(path string, into any) {
	s.t.Helper()
	resp, err := http.Get(s.url + path)
	require.NoError(s.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	require.Equal(s.t, http.StatusOK, resp.StatusCode, "GET %s: %s", path, body)
	require.NoError(s.t, json.Unmarshal(body, into), "GET %s: %s", path, body)
}

func (s *server) pod(name string) wire.Pod {
	var p wire.Pod
	s.get("/v1/pods/"+name, &p)
	return p
}

// nodes returns the nodes of a pod in a state.
func (s *server) nodes(pod, state string) []wire.Node {
	var list wire.List[wire.Node]
	s.get("/v1/pods/"+pod+"/nodes", &list)
	return slices.DeleteFunc(list.Items, func(n wire.Node) bool { return n.State != state })
}

// online returns the sorted names of a pod's online nodes.
func (s *server) online(pod string) []string {
	var out []string
	for _, n := range s.nodes(pod, "online") {
		out = append(out, n.Name)
	}
	slices.Sort(out)
	return out
}

func (s *server) eventually(what string, within time.Duration, ok func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(within)
	for !ok() {
		if time.Now().After(deadline) {
			require.FailNow(s.t, "not within "+within.String()+": "+what, s.logText())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// status sends one request and returns the status code of its answer.
func status(t *testing.T, method, url string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	return resp.StatusCode
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// patch changes a resource with a JSON merge patch.
func (s *server) patch(path, body string) {
	s.t.Helper()
	s.write(http.MethodPatch, path, "application/merge-patch+json", body)
}

// post does what a resource offers.
func (s *server) post(path, body string) {
	s.t.Helper()
	s.write(http.MethodPost, path, "application/json", body)
}

func (s *server) write(method, path, media, body string) {
	s.t.Helper()
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	require.NoError(s.t, err)
	req.Header.Set("Content-Type", media)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(s.t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	require.Less(s.t, resp.StatusCode, 300, "%s %s: %s", method, path, answer)
}
