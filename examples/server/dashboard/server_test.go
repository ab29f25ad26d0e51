package dashboard_test

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
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	operator = "operator-0123456789"
	viewer   = "viewer-0123456789ab"
)

// server is a whole server in a process of its own, with a wire to it that can
// be cut.
type server struct {
	t    *testing.T
	wire *cable
	base string // of the server itself, whatever happens to the wire
	out  bytes.Buffer
	mu   sync.Mutex
}

// url is where the page is, by the wire.
func (s *server) url() string { return "http://" + s.wire.addr() }

// start starts a server with a configuration, in which FRONT1, FRONT2 and EXE
// stand for free addresses and this program.
func start(t *testing.T, config string, fronts int, args ...string) (*server, []string) {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	dir, err := os.MkdirTemp("/tmp", "ep")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	var addresses []string
	for i := range fronts {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		addresses = append(addresses, l.Addr().String())
		require.NoError(t, l.Close())
		config = strings.ReplaceAll(config, fmt.Sprintf("FRONT%d", i+1), addresses[i])
	}
	file := filepath.Join(dir, "server.yaml")
	require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(config, "EXE", exe)), 0o600))
	tokens := filepath.Join(dir, "tokens")
	require.NoError(t, os.WriteFile(tokens, []byte("ops operator "+operator+"\nlook viewer "+viewer+"\n"), 0o600))

	s := &server{t: t}
	cmd := exec.Command(exe, append([]string{"--listen", "127.0.0.1:0", "--data", filepath.Join(dir, "data"), "--config", file, "--token-file", tokens, "--stop-nodes"}, args...)...)
	cmd.Env = append(os.Environ(), "DASHBOARD_TEST=1")
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = s
	require.NoError(t, cmd.Start())
	ready, ended := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(ended)
		url := ""
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			fmt.Fprintln(s, lines.Text())
			if u, ok := strings.CutPrefix(lines.Text(), "  API   "); ok {
				url = u
			}
			if strings.HasPrefix(lines.Text(), "  data  ") {
				ready <- url
			}
		}
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(30 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
			t.Errorf("the server did not end:\n%s", s.output())
		}
	})
	select {
	case s.base = <-ready:
	case <-ended:
		t.Fatalf("the server ended:\n%s", s.output())
	case <-time.After(30 * time.Second):
		t.Fatalf("the server is not ready:\n%s", s.output())
	}
	s.wire = newCable(t, strings.TrimPrefix(s.base, "http://"))
	return s, addresses
}

func (s *server) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(p)
}

func (s *server) output() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.String()
}

// api asks the server itself, as an operator, past the page.
func (s *server) api(method, path, body string, into any) {
	s.t.Helper()
	code, answer := s.ask(method, path, body)
	require.Less(s.t, code, 300, "%s %s: %s", method, path, answer)
	if into != nil {
		require.NoError(s.t, json.Unmarshal(answer, into))
	}
}

func (s *server) ask(method, path, body string) (int, []byte) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.base+path, strings.NewReader(body))
	require.NoError(s.t, err)
	req.Header.Set("Authorization", "Bearer "+operator)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	r, err := client.Do(req)
	require.NoError(s.t, err)
	defer r.Body.Close()
	answer, err := io.ReadAll(r.Body)
	require.NoError(s.t, err)
	return r.StatusCode, answer
}

// cable forwards connections, and can be cut and mended.
type cable struct {
	listener net.Listener
	to       string
	mu       sync.Mutex
	cutOff   bool
	conns    map[net.Conn]bool
	wait     sync.WaitGroup
}

func newCable(t *testing.T, to string) *cable {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := &cable{listener: l, to: to, conns: map[net.Conn]bool{}}
	c.wait.Go(c.accept)
	t.Cleanup(func() {
		l.Close()
		c.cut(true)
		c.wait.Wait()
	})
	return c
}

func (c *cable) addr() string { return c.listener.Addr().String() }

func (c *cable) accept() {
	for {
		in, err := c.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", c.to)
		if err != nil || !c.add(in, out) {
			in.Close()
			if out != nil {
				out.Close()
			}
			continue
		}
		for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
			c.wait.Go(func() {
				_, _ = io.Copy(way[0], way[1])
				way[0].Close()
				way[1].Close()
				c.mu.Lock()
				delete(c.conns, way[0])
				c.mu.Unlock()
			})
		}
	}
}

func (c *cable) add(conns ...net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, x := range conns {
		c.conns[x] = true
	}
	return !c.cutOff
}

// cut ends every connection and, until it is mended, each new one.
func (c *cable) cut(yes bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cutOff = yes
	for x := range c.conns {
		if yes {
			x.Close()
		}
	}
}
