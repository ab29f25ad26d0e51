package serve_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/wire"
)

// asker is a connection to the API that asks by hand.
type asker struct {
	net.Conn
	*bufio.Reader
}

func dialAPI(t *testing.T, url string) asker {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(time.Minute)))
	return asker{c, bufio.NewReader(c)}
}

// ask sends a request and returns the status of its answer, whose body is left to
// be read; 0 where there is none.
func (a asker) ask(path string) (int, *http.Response) {
	if _, err := fmt.Fprintf(a.Conn, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path); err != nil {
		return 0, nil
	}
	r, err := http.ReadResponse(a.Reader, nil)
	if err != nil {
		return 0, nil
	}
	return r.StatusCode, r
}

// Clients of the API that take all connections they get leave the server the files
// that it needs: nodes are replaced meanwhile. Who is too many is told so, idle
// ones make room, and all is as before when they have gone.
func TestTooManyClients(t *testing.T) {
	const files = 240
	const most, streams = files / 2, files / 4
	dir := dataDir(t)
	exe, err := os.Executable()
	require.NoError(t, err)
	front := freeAddress(t)
	args := []string{"--listen", "127.0.0.1:0", "--config", configFile(t, front), "--data", filepath.Join(dir, "data")}
	p := launchProgram(t, "sh", append([]string{"-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, files), exe}, args...)...)
	t.Cleanup(func() {
		p.kill()
		next := launch(t, append(args, "--stop-nodes")...)
		next.ask(syscall.SIGTERM)
		next.exit()
	})
	before := p.nodes("web", 2)
	http.DefaultClient.CloseIdleConnections()
	descriptors := func() int {
		open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
		require.NoError(t, err)
		return len(open)
	}
	atRest := descriptors()
	var all []asker
	dial := func() asker {
		all = append(all, dialAPI(t, p.url))
		return all[len(all)-1]
	}

	t.Log("idle connections make room, the oldest first")
	var idle []asker
	for i := range most + 20 {
		c := dial()
		status, r := c.ask("/healthz")
		require.Equal(t, 200, status, "client %d", i)
		_, err := io.Copy(io.Discard, r.Body)
		require.NoError(t, err)
		idle = append(idle, c)
	}
	_, err = idle[0].Reader.ReadByte()
	assert.Error(t, err, "cut")
	status, _ := idle[most].ask("/healthz")
	assert.Equal(t, 200, status, "a younger one is not")

	t.Log("streams are bounded")
	first := dial()
	status, following := first.ask("/v1/events")
	require.Equal(t, 200, status)
	for range streams - 1 {
		status, _ := dial().ask("/v1/events")
		require.Equal(t, 200, status)
	}
	status, r := dial().ask("/v1/events")
	require.Equal(t, 503, status)
	text, _ := io.ReadAll(io.LimitReader(r.Body, r.ContentLength))
	assert.Contains(t, string(text), "too many streams")

	t.Log("what sends a request slowly takes the rest: others are refused")
	for range most - streams {
		c := dial()
		_, err := io.WriteString(c.Conn, "POST /v1/pods HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n")
		require.NoError(t, err)
	}
	var told []int
	require.Eventually(t, func() bool { // once all of these have been accepted
		status, r := dial().ask("/healthz")
		if status == 503 {
			assert.Equal(t, wire.ProblemType, r.Header.Get("Content-Type"))
			assert.NotEmpty(t, r.Header.Get("Retry-After"))
			text, _ := io.ReadAll(r.Body)
			assert.Contains(t, string(text), "as many connections as it may have")
		}
		told = append(told, status)
		return status == 503
	}, 3*time.Second, 10*time.Millisecond, "%v", told)
	for range 3 * files { // far more than it could open, and all at once
		dial()
	}

	t.Log("a node dies meanwhile, and is replaced")
	victim, err := strconv.Atoi(before[0].Handle)
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(victim, syscall.SIGKILL))
	events := bufio.NewScanner(following.Body)
	seen := map[string]bool{}
	for !seen["node.online"] && events.Scan() {
		if kind, ok := strings.CutPrefix(events.Text(), "event: "); ok {
			seen[kind] = true
		}
	}
	require.True(t, seen["node.failed"] && seen["node.online"], "%v\n%s", seen, p.output())
	assert.Less(t, descriptors(), files*7/8)

	t.Log("all is as before when they have gone")
	for _, c := range all {
		c.Close()
	}
	require.Eventually(t, func() bool { return p.get("/v1/cluster", new(wire.Cluster)) == nil }, 10*time.Second, 20*time.Millisecond)
	var nodes wire.List[wire.Node]
	require.NoError(t, p.get("/v1/pods/web/nodes", &nodes))
	online := slices.DeleteFunc(nodes.Items, func(n wire.Node) bool { return n.State != "online" })
	require.Len(t, online, 2)
	assert.NotEqual(t, endpoints(before), endpoints(online))
	assert.NotContains(t, p.output(), "too many open files")
	assert.Equal(t, 1, strings.Count(p.output(), "too many clients"), "told once")
	http.DefaultClient.CloseIdleConnections()
	require.Eventually(t, func() bool { return descriptors() <= atRest+10 }, 10*time.Second, 20*time.Millisecond, "%d at rest", atRest)
}
