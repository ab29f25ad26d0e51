//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/wire"
)

// The server's bounds on clients, as they are documented.
const (
	headerBound = 5 * time.Second
	bodyBound   = 10 * time.Second
	writeBound  = 20 * time.Second
	boundSlack  = 8 * time.Second // for a machine that is busy
)

// slowClient is one that the server has to get rid of.
type slowClient struct {
	kind   string
	conn   *slowConn
	bound  time.Duration
	begun  time.Time
	gone   time.Duration // 0: the server has it still
	queued int           // the most that waited for it in the kernel
}

// askSlowly sends a request and then, where there is a drip, that again and again
// until the server closes the connection. It reads nothing.
func (s *server) askSlowly(kind string, bound time.Duration, head, drip string) *slowClient {
	s.t.Helper()
	conn, err := s.slowConn(0)
	require.NoError(s.t, err)
	c := &slowClient{kind: kind, conn: conn, bound: bound, begun: time.Now()}
	go func() {
		_, err := io.WriteString(conn, head)
		for ; drip != "" && err == nil; time.Sleep(100 * time.Millisecond) {
			_, err = io.WriteString(conn, drip)
		}
	}()
	return c
}

func request(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n" }

// A thousand subscribers of the events, and with them clients of every kind that
// is slow: pods tick and scale at their pace, others are answered at once, what
// is kept for each is bounded, and who does not read is cut and can go on where
// it was. At the end nothing of them is left.
func TestThousandSubscribersAndSlowClients(t *testing.T) {
	const subscribers, ofEachKind, tick = 1000, 10, 200 * time.Millisecond
	st := embedded(t)
	st.config = "tick: " + tick.String() + "\n"
	srv := start(t, st)
	web, loud := srv.service("web", nil), srv.service("loud", func(p *wire.Pod) {
		p.Workload.Command = []string{"sh", "-c", "while :; do seq 1 4000; sleep 0.1; done"}
		p.Workload.Probe, p.Workload.Ports, p.Fronts = wire.Probe{}, nil, nil
	})
	web.launch(1)
	loud.launch(1)
	srv.manyEvents(1500)

	base := srv.cost()
	var all []*subscriber
	defer func() {
		for _, s := range all {
			s.close()
		}
	}()
	begun := time.Now()
	all = srv.subscribers(subscribers, "ticks=true&brief=true")
	t.Logf("figure: %d subscribers connected in %s", subscribers, time.Since(begun).Round(time.Millisecond))

	// Those that the server has to get rid of, and those that it must keep.
	begun = time.Now()
	var slow []*slowClient
	var stuck []*subscriber
	for range ofEachKind {
		for kind, pace := range map[string]time.Duration{"events, never read": 0, "events, a byte now and then": 100 * time.Millisecond} {
			s, err := srv.subscribe("ticks=true&after=0", 0, pace)
			require.NoError(t, err)
			stuck = append(stuck, s)
			slow = append(slow, &slowClient{kind: kind, conn: s.conn, bound: writeBound, begun: time.Now()})
		}
		slow = append(slow,
			srv.askSlowly("head, byte by byte", headerBound, "GET /v1/pods HTTP/1.1\r\nX-Long: ", "x"),
			srv.askSlowly("body, byte by byte", bodyBound, "POST /v1/pods HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{", " "),
			srv.askSlowly("large answer, never read", writeBound, request("/v1/pods/web/decisions?limit=1000")+strings.Repeat(request("/openapi.json"), 20), ""),
			srv.askSlowly("page, never read", writeBound, strings.Repeat(request("/dashboard/uPlot.min.js"), 100), ""),
			srv.askSlowly("log, never read", writeBound, request("/v1/pods/loud/nodes/hand1/logs?follow=true"), ""),
		)
	}
	quiet := srv.reads("/v1/pods/web/nodes/hand1/logs?follow=true")
	reading := srv.reads("/v1/pods/loud/nodes/hand1/logs?follow=true")

	crowd := srv.serve(slow, begun, web.name)
	srv.eventually("every subscriber has seen all", 10*time.Second, func() bool {
		last := all[0].last.Load()
		for _, s := range all {
			last = max(last, s.last.Load())
		}
		return !slices.ContainsFunc(all, func(s *subscriber) bool { return s.last.Load() < last })
	})
	var told int64
	for i, s := range all {
		assert.Empty(t, s.lost, "subscriber %d", i)
		told += s.seen.Load() + s.gaps.Load()
	}
	t.Logf("figure: %d subscribers were told %d events and ticks, %.0f a second", subscribers, told, float64(told)/time.Since(begun).Seconds())
	srv.report(slow)
	srv.pace(web.name, begun, tick)
	t.Logf("figure: reads of others meanwhile: %d, median %s, 99 %% %s, worst %s", len(crowd.reads), median(crowd.reads), crowd.reads[len(crowd.reads)*99/100], crowd.reads[len(crowd.reads)-1])
	assert.Less(t, crowd.reads[len(crowd.reads)*99/100], 500*time.Millisecond)
	each := (crowd.worst.heap - base.heap) / float64(subscribers+len(slow))
	t.Logf("figure: heap and stacks %.1f MiB before, %.1f MiB at most with all: %.1f KiB a client; resident %.1f and %.1f MiB",
		base.heap/(1<<20), crowd.worst.heap/(1<<20), each/(1<<10), base.resident, crowd.worst.resident)
	assert.Less(t, each, float64(160<<10), "bytes a client")
	assert.Less(t, crowd.worst.resident, base.resident+300, "MiB")

	clients := srv.clients()
	assert.True(t, clients[quiet.port()].open, "a log on which nothing happens is not cut")
	assert.True(t, clients[reading.port()].open, "a log that is read is not cut")
	srv.resumes(stuck)
	_, _ = quiet.Close(), reading.Close()
	for _, s := range all {
		s.close()
	}
	for _, c := range slow {
		_ = c.conn.Close()
	}
	all = nil
	srv.eventually("nothing is left of them", 20*time.Second, func() bool {
		http.DefaultClient.CloseIdleConnections()
		now := srv.cost()
		return now.goroutines <= base.goroutines+10 && now.descriptors <= base.descriptors+5
	})
	left := srv.cost()
	t.Logf("figure: goroutines %.0f, %.0f with all, %.0f after; descriptors %.0f, %.0f, %.0f", base.goroutines, crowd.worst.goroutines, left.goroutines,
		base.descriptors, crowd.worst.descriptors, left.descriptors)
}

// manyEvents makes something happen n times.
func (s *server) manyEvents(n int) {
	s.t.Helper()
	for i := range n {
		s.patch("/v1/pods/loud", fmt.Sprintf(`{"max_nodes":%d}`, 6+i%2))
	}
}

// subscribers begins n of them that read.
func (s *server) subscribers(n int, query string) []*subscriber {
	s.t.Helper()
	all, errs := make([]*subscriber, n), make([]error, n)
	var connecting sync.WaitGroup
	for w := range 16 {
		connecting.Go(func() {
			for i := w; i < n; i += 16 {
				all[i], errs[i] = s.subscribe(query, 0, -1)
			}
		})
	}
	connecting.Wait()
	for _, err := range errs {
		require.NoError(s.t, err)
	}
	return all
}

// reads follows an answer to its end, whatever it is.
func (s *server) reads(path string) *slowConn {
	s.t.Helper()
	conn, err := s.slowConn(-1)
	require.NoError(s.t, err)
	_, err = io.WriteString(conn, request(path))
	require.NoError(s.t, err)
	go func() { _, _ = io.Copy(io.Discard, conn) }()
	return conn
}

// cost is what a server needs at a moment.
type cost struct{ heap, resident, goroutines, descriptors float64 }

func (s *server) cost() cost {
	s.t.Helper()
	return cost{
		heap:     s.scalar(s.t, "go_memstats_heap_inuse_bytes") + s.scalar(s.t, "go_memstats_stack_inuse_bytes"),
		resident: residentMiB(s.t, s.cmd.Process.Pid), goroutines: s.scalar(s.t, "go_goroutines"), descriptors: s.scalar(s.t, "process_open_fds"),
	}
}

// crowd is how it was with many clients.
type crowd struct {
	reads []time.Duration // sorted
	worst cost
}

// serve lets the pod scale until the server has got rid of every slow client, and
// reads meanwhile.
func (s *server) serve(slow []*slowClient, begun time.Time, pod string) (c crowd) {
	s.t.Helper()
	for round, left := 0, len(slow); left > 0; round++ {
		if time.Since(begun) > writeBound+2*boundSlack {
			break // report says who is left
		}
		if round%20 == 0 { // it grows and shrinks
			n := 1 + round/20%2
			s.write(http.MethodPut, "/v1/pods/"+pod+"/elasticity", "application/json", fmt.Sprintf(`{"enabled":true,"min":%d,"max":%d}`, n, n))
		}
		for _, path := range []string{"/v1/pods/" + pod, "/v1/hosts", "/v1/pods"} {
			asked := time.Now()
			require.Equal(s.t, http.StatusOK, status(s.t, http.MethodGet, s.url+path))
			c.reads = append(c.reads, time.Since(asked))
		}
		if round%5 == 0 {
			now := s.cost()
			c.worst = cost{max(c.worst.heap, now.heap), max(c.worst.resident, now.resident), max(c.worst.goroutines, now.goroutines), max(c.worst.descriptors, now.descriptors)}
		}
		clients := s.clients()
		left = 0
		for _, x := range slow {
			if x.gone == 0 {
				at := clients[x.conn.port()]
				x.queued = max(x.queued, at.queued)
				if left++; !at.open {
					x.gone = time.Since(x.begun)
				}
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	slices.Sort(c.reads)
	return c
}

// report checks that the server has got rid of all of them, in time.
func (s *server) report(slow []*slowClient) {
	s.t.Helper()
	took, queued := map[string][]time.Duration{}, map[string]int{}
	for _, c := range slow {
		if assert.NotZero(s.t, c.gone, "%s: not cut", c.kind) {
			assert.Less(s.t, c.gone, c.bound+boundSlack, c.kind)
			assert.Greater(s.t, c.gone, c.bound-time.Second, c.kind)
		}
		took[c.kind] = append(took[c.kind], c.gone)
		queued[c.kind] = max(queued[c.kind], c.queued)
	}
	for kind, all := range took {
		slices.Sort(all)
		s.t.Logf("figure: %s: %d cut after %.1f to %.1f s, at most %d KiB in the kernel", kind, len(all), all[0].Seconds(), all[len(all)-1].Seconds(), queued[kind]>>10)
		assert.Less(s.t, queued[kind], 256<<10, kind)
	}
}

// pace checks that the pod's loop never waited.
func (s *server) pace(pod string, since time.Time, tick time.Duration) {
	s.t.Helper()
	var times []time.Time
	for _, d := range s.decisions(pod) {
		if d.At.After(since) {
			times = append(times, d.At)
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	require.Greater(s.t, len(times), 2)
	var worst time.Duration
	for i := range times[1:] {
		worst = max(worst, times[i+1].Sub(times[i]))
	}
	span := times[len(times)-1].Sub(times[0])
	s.t.Logf("figure: %d ticks in %s, one each %s; the longest pause %s", len(times), span.Round(time.Second), (span / time.Duration(len(times)-1)).Round(time.Millisecond), worst.Round(time.Millisecond))
	assert.InDelta(s.t, tick.Seconds(), (span / time.Duration(len(times)-1)).Seconds(), 0.5*tick.Seconds())
	assert.Less(s.t, worst, tick+time.Second)
}

// resumes lets those that were cut read what is on its way to them, and go on:
// they are told everything, or that something is missing.
func (s *server) resumes(stuck []*subscriber) {
	s.t.Helper()
	now := 0
	for i, x := range stuck {
		close(x.conn.free)
		<-x.done
		require.Empty(s.t, x.lost, "subscriber %d", i)
		require.NotZero(s.t, x.last.Load())
		again, err := s.subscribe("ticks=true", x.last.Load(), -1)
		require.NoError(s.t, err)
		s.eventually("it goes on", 10*time.Second, func() bool { return again.last.Load() > x.last.Load()+100 || again.gaps.Load() > 0 })
		assert.Empty(s.t, again.lost, "subscriber %d", i)
		now += int(again.seen.Load())
		again.close()
	}
	s.t.Logf("figure: %d that were cut went on with Last-Event-ID, and were told %d events", len(stuck), now)
}
