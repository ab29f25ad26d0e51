package podtest

import (
	"bufio"
	"context"
	"io"
	"strings"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/pod"
)

func testUsage(s *suite) {
	n := s.serving("n1", "serve")
	usage := func() pod.Usage {
		u := pod.Usage{}
		s.eventually("usage is measured", 0, func() bool {
			u = s.find(s.rt, n.ID).Usage
			return !u.At.IsZero()
		})
		return u
	}
	before := usage()
	assert.WithinRange(s, before.At, time.Now().Add(-2*time.Second), time.Now().Add(time.Second))
	assert.Greater(s, before.Memory, int64(0))
	assert.Less(s, before.Memory, int64(1<<30))
	s.ask(n, "/burn", "cpu", "300ms")
	var after pod.Usage
	s.eventually("burnt CPU time is seen", 2*time.Second, func() bool {
		next := usage()
		require.GreaterOrEqual(s, next.CPU, after.CPU, "CPU time only grows")
		after = next
		return after.CPU-before.CPU >= 280*time.Millisecond
	})
	assert.Less(s, after.CPU-before.CPU, 5*time.Second)
	assert.True(s, after.At.After(before.At))
}

// output returns the lines of a node's output.
func (s *suite) output(l pod.Logger, id pod.NodeID, o pod.LogOptions) []string {
	s.Helper()
	r, err := l.Logs(s.Context(), id, o)
	require.NoError(s, err)
	defer r.Close()
	b, err := io.ReadAll(r)
	require.NoError(s, err)
	if len(b) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

// kept waits until so many lines of a node's output are kept, where that can be
// read: what a node has just written may be on its way.
func (s *suite) kept(id pod.NodeID, lines int) {
	s.Helper()
	if l := s.rt.Extras().Logger; l != nil {
		s.eventually("output is kept", 0, func() bool { return len(s.output(l, id, pod.LogOptions{})) == lines })
	}
}

func testLogs(s *suite) {
	l := s.rt.Extras().Logger
	if l == nil {
		s.Log("this runtime has no Logger")
		return
	}
	n := s.serving("n1", "serve")
	s.ask(n, "/print", "n", "30", "text", "line")
	read := func(o pod.LogOptions) []string { return s.output(l, n.ID, o) }
	s.kept(n.ID, 31)
	all := read(pod.LogOptions{})
	assert.Equal(s, "serving", all[0])
	assert.Equal(s, "line 30", all[30])
	assert.Equal(s, []string{"line 28", "line 29", "line 30"}, read(pod.LogOptions{Tail: 3}))
	assert.Equal(s, all, read(pod.LogOptions{Tail: 1000}))
	s.order(n, "/exit", "code", "1")
	s.exited(n.ID)
	assert.Equal(s, []string{"line 30"}, read(pod.LogOptions{Tail: 1}), "output outlives the node")
	s.stop(s.rt, n.ID, 0)
	_, err := l.Logs(s.Context(), n.ID, pod.LogOptions{})
	assert.ErrorIs(s, err, pod.ErrNotFound)
}

func testLogsFollow(s *suite) {
	l := s.rt.Extras().Logger
	if l == nil {
		s.Log("this runtime has no Logger")
		return
	}
	n := s.serving("n1", "serve")
	follow := func(ctx context.Context) (io.ReadCloser, *bufio.Scanner) {
		s.Helper()
		r, err := l.Logs(ctx, n.ID, pod.LogOptions{Tail: 1, Follow: true})
		require.NoError(s, err)
		s.Cleanup(func() { r.Close() })
		sc := bufio.NewScanner(r)
		require.True(s, sc.Scan())
		return r, sc
	}
	within := func(what string, f func()) {
		s.Helper()
		done := make(chan struct{})
		go func() {
			defer close(done)
			f()
		}()
		select {
		case <-done:
		case <-time.After(s.h.Slack):
			require.Fail(s, "not in time: "+what)
		}
	}

	r, sc := follow(s.Context())
	assert.Equal(s, "serving", sc.Text())
	s.ask(n, "/print", "n", "2", "text", "more")
	within("new lines are followed", func() {
		assert.True(s, sc.Scan(), "the first line")
		assert.True(s, sc.Scan(), "the second line")
		assert.Equal(s, "more 2", sc.Text())
	})
	within("a closed reader ends", func() {
		go r.Close()
		for sc.Scan() {
		}
	})

	ctx, cancel := context.WithCancel(s.Context())
	_, sc = follow(ctx)
	within("the context ends it", func() {
		cancel()
		for sc.Scan() {
		}
	})

	_, sc = follow(s.Context())
	within("the node's end ends it", func() {
		s.order(n, "/exit", "code", "0")
		for sc.Scan() {
		}
		assert.NoError(s, sc.Err())
	})
}

func testLogsUnknown(s *suite) {
	if l := s.rt.Extras().Logger; l != nil {
		for _, follow := range []bool{false, true} {
			_, err := l.Logs(s.Context(), pod.NodeID{Pod: "web", Name: "never"}, pod.LogOptions{Follow: follow})
			assert.ErrorIs(s, err, pod.ErrNotFound)
		}
	}
}

func testFreeze(s *suite) {
	if s.h.Freeze == nil {
		s.Log("nodes of this runtime cannot be frozen")
		return
	}
	n := s.serving("n1", "serve")
	w := s.watch()
	if w != nil {
		defer w.cancel()
	}
	for range 2 {
		for _, c := range []struct {
			on    bool
			phase pod.Phase
			event pod.EventKind
		}{{true, pod.PhaseFrozen, pod.EventFrozen}, {false, pod.PhaseRunning, pod.EventThawed}} {
			s.h.Freeze(s.T, n, c.on)
			if w != nil {
				w.next(pod.Event{Node: n.ID, Kind: c.event})
			}
			seen := s.find(s.rt, n.ID)
			s.same(n, seen)
			assert.Equal(s, c.phase, seen.Phase, "right after the event")
			assert.Nil(s, seen.Exit)
			again := s.start(s.rt, s.request("n1", "serve"))
			assert.Equal(s, n.Handle, again.Handle, "a start leaves it as it is")
			assert.Equal(s, c.phase, again.Phase)
		}
		s.await(n)
	}
	s.h.Freeze(s.T, n, true)
	assert.Equal(s, "serving", s.stop(s.rt, n.ID, time.Second)[0])
	assert.Nil(s, s.find(s.rt, n.ID), "a frozen node can be stopped")
}

func testPrepare(s *suite) {
	p := s.rt.Extras().Preparer
	if p == nil {
		s.Log("this runtime has no Preparer")
		return
	}
	w := s.workload("serve")
	first, err := p.Prepare(s.Context(), w, "", nil)
	require.NoError(s, err)
	began := time.Now()
	again, err := p.Prepare(s.Context(), w, "", func(pod.Progress) {})
	require.NoError(s, err)
	assert.Less(s, time.Since(began), s.h.Slack, "quick when nothing is to be done")
	assert.Equal(s, first, again)
	assert.Equal(s, w.Image == "", first.Digest == "")
}

func testClusters(s *suite) {
	other := s.open(s.newCluster())
	mine := s.serving("n1", "serve")
	theirs := s.start(other, s.request("n1", "serve"))
	s.await(theirs)
	assert.NotEqual(s, mine.Handle, theirs.Handle)
	assert.NotEqual(s, mine.Endpoints, theirs.Endpoints)
	require.Len(s, s.observe(s.rt).Nodes, 1)
	require.Len(s, s.observe(other).Nodes, 1)
	assert.Equal(s, mine.Handle, s.observe(s.rt).Nodes[0].Handle)
	assert.Equal(s, theirs.Handle, s.observe(other).Nodes[0].Handle)
	s.stop(other, theirs.ID, 0)
	assert.Equal(s, "ok\n", s.ask(mine, "/"), "another cluster's stop leaves ours alone")
}

func testForeign(s *suite) {
	n := s.serving("n1", "serve")
	other := s.open(pod.Cluster{Name: s.cluster.Name, ID: "0123456789abcdef"})
	_, err := other.Observe(s.Context())
	require.ErrorIs(s, err, pod.ErrForeign)
	assert.ErrorContains(s, err, s.cluster.ID, "the error says whose")
	assert.NoError(s, stopError(other.Stop(s.Context(), n.ID, 0)), "to another manager the node does not exist")
	assert.NotNil(s, s.find(s.rt, n.ID), "the owner goes on")
	assert.Equal(s, "ok\n", s.ask(n, "/"))
	s.stop(s.rt, n.ID, 0)
	assert.Empty(s, s.observe(other).Nodes, "a name without nodes is free")
}

func testReopen(s *suite) {
	n := s.serving("n1", "serve")
	ended := s.serving("n2", "serve")
	s.order(ended, "/exit", "code", "9")
	ended = s.exited(ended.ID)
	require.NoError(s, s.rt.Close())

	assert.Equal(s, "ok\n", s.ask(n, "/"), "nodes go on after Close")
	s.rt = s.open(s.cluster)
	seen := s.find(s.rt, n.ID)
	s.same(n, seen)
	assert.Equal(s, pod.PhaseRunning, seen.Phase)
	again := s.exited(ended.ID)
	assert.Equal(s, ended.Exit.Code, again.Exit.Code)
	assert.Equal(s, ended.Exit.LastLog, again.Exit.LastLog)
	assert.Equal(s, n.Handle, s.start(s.rt, s.request("n1", "serve")).Handle, "start is idempotent across managers")
	s.order(n, "/exit", "code", "4")
	assert.Equal(s, 4, s.exited(n.ID).Exit.Code, "the exit of an adopted node is seen")
}

func testClose(s *suite) {
	n := s.serving("n1", "serve")
	rt := s.open(s.cluster)
	require.NoError(s, rt.Close())
	require.NoError(s, rt.Close(), "Close twice")
	_, err := rt.Observe(s.Context())
	assert.Error(s, err, "a closed runtime says so")
	assert.Equal(s, "ok\n", s.ask(n, "/"))
}

func testCancelled(s *suite) {
	n := s.serving("n1", "deaf")
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	_, err := s.rt.Observe(ctx)
	assert.ErrorIs(s, err, context.Canceled)
	_, err = s.rt.Start(ctx, s.request("n2", "serve"))
	assert.ErrorIs(s, err, context.Canceled)

	ctx, cancel = context.WithTimeout(s.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	assert.ErrorIs(s, stopError(s.rt.Stop(ctx, n.ID, time.Minute)), context.DeadlineExceeded)
	assert.Less(s, time.Since(began), s.h.Slack)
	s.stop(s.rt, n.ID, 0) // a second stop finishes it
	assert.Empty(s, s.observe(s.rt).Nodes)
}

func testHost(s *suite) {
	s.observe(s.rt)
	h := s.observe(s.rt).Host
	assert.NotEmpty(s, h.Engine)
	assert.Greater(s, h.Capacity.CPU, 0.0)
	assert.Less(s, h.Capacity.CPU, 10_000.0)
	assert.Greater(s, h.Capacity.Memory, int64(1<<20))
	if m := h.Used.Memory; m != nil {
		assert.GreaterOrEqual(s, *m, int64(0))
		assert.LessOrEqual(s, *m, h.Capacity.Memory)
	}
	if c := h.Used.CPU; c != nil {
		assert.GreaterOrEqual(s, *c, 0.0)
		assert.LessOrEqual(s, *c, 2*h.Capacity.CPU+1)
	}
	if d, total := h.Used.Disk, h.Used.DiskTotal; d != nil && assert.NotNil(s, total) {
		assert.LessOrEqual(s, *d, *total)
	}
}
