package haproxy

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
)

// scripted answers on HAProxy's sockets in its place.
type scripted struct {
	mu      sync.Mutex
	answers map[string]string // by command; none: it takes the command and says nothing
	asked   map[string]int
}

func (s *scripted) set(command, answer string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[command] = answer
}

func (s *scripted) mute(command string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.answers, command)
}

func (s *scripted) count(command string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[command]
}

// listen serves a socket until the test is over.
func (s *scripted) listen(t *testing.T, path string) {
	t.Helper()
	ln, err := net.Listen("unix", path)
	require.NoError(t, err)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() {
		assert.NoError(t, ln.Close())
		all.Wait()
	})
}

func (s *scripted) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	line, err := r.ReadString('\n')
	if err != nil {
		return
	}
	command := strings.TrimSuffix(strings.TrimSpace(line), ";quit")
	s.mu.Lock()
	answer, known := s.answers[command]
	s.asked[command]++
	s.mu.Unlock()
	if !known {
		_, _ = r.ReadByte() // until who asked gives up
		return
	}
	_, _ = c.Write([]byte(answer))
}

// What HAProxy's newest worker 2 of master 1 is asked, and its old worker 3.
const (
	askNewest = "show info; show stat"
	askMaster = "show proc"
	askOld    = "@!3 show stat"
)

// openScripted returns a balancer with one front, web, of one server, n1, and
// what stands for its HAProxy.
func openScripted(t *testing.T) (*Balancer, *scripted) {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "ep") // short enough for sockets
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(dir)) })
	s := &scripted{asked: map[string]int{}, answers: map[string]string{
		askNewest: "Pid: 2\n\n" + said(0), askMaster: "1 master 1 x\n# workers\n2 worker 0 x\n# old workers\n3 worker 1 x\n", askOld: said(4),
		"prompt": "", // it has no servers to tell of when the balancer is opened
	}}
	s.listen(t, filepath.Join(dir, statsSocket))
	s.listen(t, filepath.Join(dir, masterSocket))
	c := testConfig(t, dir)
	c.timing = hasty
	c.timing.old = 100 * time.Millisecond
	b, err := New(c)
	require.NoError(t, err)
	require.Equal(t, dir, b.cfg.SocketDir)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	web := &front{Front: balancer.Front{Name: "web"}, incarnation: b.incarnate(0), servers: map[string]server{
		"n1": {Server: balancer.Server{Name: "n1", Addr: "127.0.0.1:80", State: balancer.Drain}, incarnation: b.incarnate(0)},
	}}
	b.mu.Lock()
	b.fronts["web"] = web
	b.mu.Unlock()
	return b, s
}

// said is what a worker says that has some requests in flight.
func said(inFlight int) string {
	return statHeader + fmt.Sprintf("web,FRONTEND,,,%[1]d,9,9000,20,1,1,0,0,0,,,,,OPEN,,0,0,20,,,\n"+
		"web,n1,0,0,%[1]d,1,,20,1,1,,0,,0,0,0,0,UP,100,2,0,,0,127.0.0.1:80,\nweb,BACKEND,0,0,%[1]d,1,900,20,1,1,0,0,,0,0,0,0,UP,200,1,0,20,0,,\n", inFlight)
}

func TestAnswersThatAreNotUnderstood(t *testing.T) {
	for name, c := range map[string]struct{ command, answer, want string }{
		"statistics":          {askNewest, "Pid: 2\n\nUnknown command: 'show stat'\n", "statistics are not understood"},
		"half of statistics":  {askNewest, "Pid: 2\n\n" + said(1)[:len(said(1))-20], "columns"},
		"another's worker":    {askNewest, "Pid: 77\n\n" + said(0), "worker 77 is not one of master 1"},
		"processes":           {askMaster, "Unknown command: 'show proc'\n", "show proc said"},
		"no processes at all": {askMaster, "", "the master said nothing"},
		"old worker":          {askOld, "Can't find the target CLI!\n", "statistics are not understood"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, s := openScripted(t)
			s.set(c.command, c.answer)
			_, err := b.Observe(ctxFor(t))
			require.ErrorIs(t, err, balancer.ErrUnavailable, "figures that are not there are not 0")
			assert.ErrorContains(t, err, c.want)
		})
	}
}

func TestSocketThatSaysNothing(t *testing.T) {
	t.Parallel()
	for _, command := range []string{askNewest, askMaster} {
		b, s := openScripted(t)
		s.mute(command)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := b.Observe(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Less(t, time.Since(began), 2*time.Second, "it ends with its context")
		s.set(askNewest, "Pid: 2\n\n"+said(0))
		s.set(askMaster, "1 master 1 x\n# workers\n2 worker 0 x\n")
		assert.Zero(t, observe(t, b, "web").InFlight, "and asks anew the next time")
	}
}

// A drain must not end because an old worker does not answer: what it said last
// stands until the worker is gone, and it is not waited for each time.
func TestOldWorkerThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	b, s := openScripted(t)
	assert.Equal(t, 4, observe(t, b, "web").Servers[0].InFlight)
	s.mute(askOld)
	for range 3 {
		f := observe(t, b, "web")
		assert.Equal(t, 4, f.InFlight)
		assert.Equal(t, 4, f.Servers[0].InFlight)
	}
	assert.Equal(t, 2, s.count(askOld), "once it answered, and once it did not")
	s.set(askMaster, "1 master 1 x\n# workers\n2 worker 0 x\n")
	f := observe(t, b, "web")
	assert.Zero(t, f.InFlight)
	assert.EqualValues(t, 40, f.Requests, "what it did counts for ever")
}

// One that never said anything cannot be stood for.
func TestOldWorkerThatNeverAnswered(t *testing.T) {
	t.Parallel()
	b, s := openScripted(t)
	s.mute(askOld)
	_, err := b.Observe(ctxFor(t))
	require.ErrorIs(t, err, balancer.ErrUnavailable)
	assert.NotErrorIs(t, err, context.DeadlineExceeded, "the caller's context has not ended")
	assert.ErrorContains(t, err, "worker 3 within 100ms")
}
