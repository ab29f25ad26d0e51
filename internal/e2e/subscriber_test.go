//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// slowConn is a connection by hand, with a small window, that can be slow.
type slowConn struct {
	net.Conn
	// every is the time between two bytes that are read; 0: none is read at all.
	// Both end with free. It counts once slow is set.
	every time.Duration
	slow  bool
	free  chan struct{}
}

func (s *server) slowConn(every time.Duration) (*slowConn, error) {
	d := net.Dialer{Timeout: 20 * time.Second, Control: func(_, _ string, c syscall.RawConn) (err error) {
		if failed := c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10) }); failed != nil {
			return failed
		}
		return err
	}}
	c, err := d.DialContext(context.Background(), "tcp", strings.TrimPrefix(s.url, "http://"))
	return &slowConn{Conn: c, every: every, free: make(chan struct{})}, err
}

func (c *slowConn) Read(p []byte) (int, error) {
	if c.slow {
		var pause <-chan time.Time // never
		if c.every > 0 {
			pause = time.After(c.every)
		}
		select {
		case <-c.free:
		case <-pause:
			p = p[:1]
		}
	}
	return c.Conn.Read(p)
}

// port is by what the server's end of the connection is found.
func (c *slowConn) port() int { return c.LocalAddr().(*net.TCPAddr).Port }

// serverSocket is the server's end of a connection, as the kernel shows it.
type serverSocket struct {
	open   bool // the server has not closed it
	queued int  // bytes that the client has not taken
}

// clients returns the server's ends of its connections, by the ports of the clients.
func (s *server) clients() map[int]serverSocket {
	s.t.Helper()
	text, err := os.ReadFile("/proc/net/tcp")
	require.NoError(s.t, err)
	_, own, err := net.SplitHostPort(strings.TrimPrefix(s.url, "http://"))
	require.NoError(s.t, err)
	number := func(text string) int {
		n, err := strconv.ParseInt(text, 16, 64)
		require.NoError(s.t, err)
		return int(n)
	}
	port := func(address string) int {
		_, p, _ := strings.Cut(address, ":")
		return number(p)
	}
	out := map[int]serverSocket{}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 5 || f[0] == "sl" || strconv.Itoa(port(f[1])) != own {
			continue
		}
		queued, _, _ := strings.Cut(f[4], ":")
		const established, closeWait = "01", "08"
		out[port(f[2])] = serverSocket{open: f[3] == established || f[3] == closeWait, queued: number(queued)}
	}
	return out
}

// subscriber follows every event, and notes where it was not told of one.
type subscriber struct {
	conn *slowConn
	body *bufio.Reader
	last atomic.Uint64 // the id of the last event
	seen atomic.Int64  // events and ticks
	gaps atomic.Int64  // that it was told of
	lost string        // what it was not told of
	done chan struct{}
}

// subscribe begins to follow; where pace is not negative, slowly after the head.
func (s *server) subscribe(query string, after uint64, pace time.Duration) (*subscriber, error) {
	conn, err := s.slowConn(pace)
	if err != nil {
		return nil, err
	}
	head := "GET /v1/events?" + query + " HTTP/1.1\r\nHost: localhost\r\n"
	if after > 0 {
		head += fmt.Sprintf("Last-Event-ID: %d\r\n", after)
	}
	if _, err := conn.Write([]byte(head + "\r\n")); err != nil {
		return nil, err
	}
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return nil, err
	}
	if r.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("events: %s", r.Status)
	}
	conn.slow = pace >= 0
	sub := &subscriber{conn: conn, body: bufio.NewReader(r.Body), done: make(chan struct{})}
	sub.last.Store(after)
	go sub.follow()
	return sub, nil
}

// follow reads until the stream ends. What breaks off in the middle does not count.
func (s *subscriber) follow() {
	defer close(s.done)
	var id uint64
	kind := ""
	for {
		line, err := s.body.ReadString('\n')
		if err != nil {
			return
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch name {
		case "id":
			id, _ = strconv.ParseUint(value, 10, 64) // 0 is no id, and found out
		case "event":
			kind = value
		case "":
			s.take(id, kind)
			id, kind = 0, ""
		}
	}
}

func (s *subscriber) take(id uint64, kind string) {
	last := s.last.Load()
	switch kind {
	case "tick":
		s.seen.Add(1)
		return
	case "reset":
		s.gaps.Add(1)
	case "":
		if id == 0 {
			return // a sign of life
		}
		if last != 0 && id != last {
			s.lost = fmt.Sprintf("the stream begins after %d, not after %d", id, last)
		}
	default:
		s.seen.Add(1)
		if last != 0 && id != last+1 {
			s.lost = fmt.Sprintf("%d comes after %d", id, last)
		}
	}
	s.last.Store(id)
}

func (s *subscriber) close() {
	_ = s.conn.Close()
	<-s.done
}

// scalar returns a number of what Prometheus is told.
func (s *server) scalar(t *testing.T, name string) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(strings.TrimSpace(s.metric(name+" ")), 64)
	require.NoError(t, err, name)
	return n
}
