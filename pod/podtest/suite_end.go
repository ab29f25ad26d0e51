package podtest

import (
	"bufio"
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/podtest/internal/program"
)

func testStopUnknown(s *suite) {
	for _, grace := range []time.Duration{0, time.Second} {
		began := time.Now()
		s.stop(s.rt, pod.NodeID{Pod: "web", Name: "never"}, grace)
		assert.Less(s, time.Since(began), s.h.Slack)
	}
	n := s.serving("n1", "serve")
	s.stop(s.rt, n.ID, time.Second)
	s.stop(s.rt, n.ID, time.Second) // a second stop is no error
}

func testStopGrace(s *suite) {
	n := s.serving("n1", "serve")
	began := time.Now()
	s.stop(s.rt, n.ID, time.Minute)
	assert.Less(s, time.Since(began), s.h.Slack+2*time.Second, "a stop does not wait longer than the node")
	assert.Nil(s, s.find(s.rt, n.ID))

	n = s.serving("n2", "serve") // one that has ended is removed too
	s.order(n, "/exit", "code", "1")
	s.exited(n.ID)
	s.stop(s.rt, n.ID, time.Minute)
	assert.Nil(s, s.find(s.rt, n.ID))
}

func testStopDeaf(s *suite) {
	n := s.serving("n1", "deaf")
	began := time.Now()
	s.stop(s.rt, n.ID, time.Second)
	assert.GreaterOrEqual(s, time.Since(began), 950*time.Millisecond, "the node has its grace")
	assert.Less(s, time.Since(began), time.Second+s.h.Slack)
	assert.Nil(s, s.find(s.rt, n.ID))
	_, err := s.get(n, "/", nil)
	assert.Error(s, err)
}

func testStopKillsAtOnce(s *suite) {
	n := s.serving("n1", "deaf")
	began := time.Now()
	s.stop(s.rt, n.ID, 0)
	assert.Less(s, time.Since(began), s.h.Slack)
	assert.Nil(s, s.find(s.rt, n.ID))
}

func testStopTail(s *suite) {
	n := s.serving("n1", "serve")
	s.ask(n, "/print", "n", "150", "text", "line")
	lines := s.stop(s.rt, n.ID, time.Minute)
	require.Len(s, lines, pod.TailLines)
	assert.Equal(s, "line 52", lines[0], "the oldest is first")
	assert.Equal(s, []string{"line 150", "terminated"}, lines[pod.TailLines-2:], "what it wrote at its end is there")
	assert.Nil(s, s.stop(s.rt, n.ID, time.Minute), "there is no such node any more")

	n = s.serving("n2", "serve") // one that ended by itself
	s.ask(n, "/print", "n", "2", "text", "last words")
	s.order(n, "/exit", "code", "3")
	s.exited(n.ID)
	assert.Equal(s, []string{"serving", "last words 1", "last words 2"}, s.stop(s.rt, n.ID, 0))

	r := s.request("n3", "exit", "0") // one that says nothing
	if _, err := s.rt.Start(s.Context(), r); err == nil {
		s.exited(r.ID)
		assert.Nil(s, s.stop(s.rt, r.ID, 0))
	}

	n = s.serving("n4", "deaf") // one that is killed
	s.kept(n.ID, 1)
	assert.Equal(s, []string{"serving"}, s.stop(s.rt, n.ID, 0))
}

func testStopTailIsBounded(s *suite) {
	n := s.serving("n1", "serve")
	s.ask(n, "/print", "n", "200", "text", strings.Repeat("x", 400))
	s.ask(n, "/print", "n", "1", "text", strings.Repeat("y", 20_000))
	began := time.Now()
	lines := s.stop(s.rt, n.ID, time.Minute)
	assert.Less(s, time.Since(began), s.h.Slack+2*time.Second)
	require.Greater(s, len(lines), 10)
	assert.LessOrEqual(s, len(lines), pod.TailLines)
	size := 0
	for _, line := range lines {
		size += len(line) + 1
	}
	assert.LessOrEqual(s, size, pod.TailBytes)
	assert.Equal(s, "terminated", lines[len(lines)-1])
	long := lines[len(lines)-2]
	assert.True(s, strings.HasPrefix(long, "yyyy") && len(long) < 2000, "a long line is cut, not left out")
}

// descendant makes the node start a descendant, by an intermediate that ends where
// far is set, and returns a connection to it.
func (s *suite) descendant(n pod.Node, far string) net.Conn {
	s.Helper()
	s.ask(n, "/spawn", "far", far)
	var conn net.Conn
	s.eventually("the descendant answers", 5*time.Second, func() bool {
		c, err := net.DialTimeout("tcp", n.Endpoints[program.ChildPort], time.Second)
		if err != nil {
			return false
		}
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		line, err := bufio.NewReader(c).ReadString('\n')
		if err != nil || line != "child\n" {
			c.Close()
			return false
		}
		conn = c
		return true
	})
	s.Cleanup(func() { conn.Close() })
	return conn
}

// dead checks that the descendant at the other end died.
func (s *suite) dead(conn net.Conn, what string) {
	s.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(s.h.Slack))
	_, err := conn.Read(make([]byte, 1))
	if assert.Error(s, err) && assert.False(s, isTimeout(err), "%s lives", what) {
		return
	}
	s.FailNow()
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

func testStopDescendants(s *suite) {
	for _, far := range []string{"", "1"} {
		n := s.serving("n1", "serve")
		conn := s.descendant(n, far)
		s.stop(s.rt, n.ID, 5*time.Second)
		s.dead(conn, "a descendant of a stopped node")
	}
}

func testExitDescendants(s *suite) {
	for _, far := range []string{"", "1"} {
		n := s.serving("n1", "serve")
		conn := s.descendant(n, far)
		s.order(n, "/exit", "code", "5")
		s.dead(conn, "a descendant of an ended node")
		assert.Equal(s, 5, s.exited(n.ID).Exit.Code)
		s.stop(s.rt, n.ID, 0)
	}
}

func testExitCode(s *suite) {
	n := s.serving("n1", "serve")
	s.ask(n, "/print", "n", "15", "text", "line")
	before := time.Now().Add(-2 * time.Second)
	s.order(n, "/exit", "code", "7")
	e := s.exited(n.ID)
	assert.Equal(s, 7, e.Exit.Code)
	assert.False(s, e.Exit.OOMKilled)
	assert.WithinRange(s, e.Exit.At, before, time.Now().Add(2*time.Second))
	require.Len(s, e.Exit.LastLog, pod.LastLogLines)
	assert.Equal(s, "line 6", e.Exit.LastLog[0])
	assert.Equal(s, "line 15", e.Exit.LastLog[9])
	assert.Equal(s, "exit code 7: line 15", e.Exit.Reason())
	assert.Equal(s, n.Handle, e.Handle)
	assert.Equal(s, n.Revision, e.Revision)
	assert.Equal(s, e, s.exited(n.ID), "an ended node stays as it is until it is stopped")
}

func testExitSignal(s *suite) {
	n := s.serving("n1", "serve")
	s.order(n, "/signal", "n", "9")
	e := s.exited(n.ID)
	assert.Equal(s, 137, e.Exit.Code)
	assert.False(s, e.Exit.OOMKilled)
	assert.True(s, strings.HasPrefix(e.Exit.Reason(), "killed by signal 9"), e.Exit.Reason())
}

// watching is a Watch under way.
type watching struct {
	s      *suite
	events chan pod.Event
	cancel context.CancelFunc
	done   chan error
}

// watch begins to watch, and returns once events come in. It returns nil where
// the runtime has no Watcher.
func (s *suite) watch() *watching {
	s.Helper()
	watcher := s.rt.Extras().Watcher
	if watcher == nil {
		s.Log("this runtime has no Watcher")
		return nil
	}
	ctx, cancel := context.WithCancel(s.Context())
	w := &watching{s: s, events: make(chan pod.Event, 100), cancel: cancel, done: make(chan error, 1)}
	go func() {
		w.done <- watcher.Watch(ctx, func(e pod.Event) {
			select {
			case w.events <- e:
			default: // repeated without end
			}
		})
	}()
	// A watch may miss what happens before it is set up.
	s.eventually("first event", 0, func() bool {
		n := s.start(s.rt, s.request("n0", "serve"))
		select {
		case e := <-w.events:
			assert.Equal(s, n.ID, e.Node)
			return true
		case <-time.After(100 * time.Millisecond):
			s.stop(s.rt, n.ID, 0)
			return false
		}
	})
	return w
}

// next waits for an event and returns how long that took.
func (w *watching) next(want pod.Event) time.Duration {
	w.s.Helper()
	began := time.Now()
	deadline := time.After(w.s.h.Slack)
	for {
		select {
		case e := <-w.events:
			if e == want {
				return time.Since(began)
			}
		case <-deadline:
			require.Fail(w.s, "no event", "%+v", want)
		}
	}
}

func testWatch(s *suite) {
	w := s.watch()
	if w == nil {
		return
	}
	defer w.cancel()
	n := s.start(s.rt, s.request("n1", "serve"))
	w.next(pod.Event{Node: n.ID, Kind: pod.EventStarted})
	s.await(n)
	s.order(n, "/exit", "code", "1")
	took := w.next(pod.Event{Node: n.ID, Kind: pod.EventEnded})
	assert.Less(s, took, time.Second, "an end is told quickly")
	s.Logf("an end was told after %s", took.Round(100*time.Microsecond))
	w.cancel()
	select {
	case err := <-w.done:
		assert.ErrorIs(s, err, context.Canceled)
	case <-time.After(s.h.Slack):
		require.Fail(s, "Watch goes on after its context")
	}
}
