package podtest

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/podtest/internal/program"
)

func TestMain(m *testing.M) {
	HelperMain()
	goleak.VerifyTestMain(m)
}

// TestFake runs the suite with nodes that run the helper program inside of the
// test, behind real listeners.
func TestFake(t *testing.T) {
	host := NewFakeHost()
	next := 15000 + rand.IntN(2000) // below the ports of outgoing connections
	host.Endpoint = func(pod.NodeID, string) string {
		for {
			next++
			if l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(next)); err == nil {
				defer l.Close()
				return l.Addr().String()
			}
		}
	}
	host.Program = inProcess
	images := 0
	Run(t, Harness{
		Open:     func(_ *testing.T, c pod.Cluster) pod.Runtime { return host.Open(c) },
		Workload: func(args ...string) pod.Workload { return pod.Workload{Command: args} },
		Missing:  pod.Workload{Image: MissingImage},
		Fetchable: func(_ *testing.T, args ...string) pod.Workload {
			images++
			return pod.Workload{Image: "image-" + strconv.Itoa(images), Command: args}
		},
		MoveTag: func(_ *testing.T, w pod.Workload) { host.Registry.Tag(w.Image, "sha256:moved-"+w.Image) },
		Freeze:  func(_ *testing.T, n pod.Node, on bool) { host.Freeze(n.ID, on) },
	})
	assert.Empty(t, host.Nodes())
}

// inProcess runs the helper as a part of this process.
func inProcess(p FakeProcess) pod.Exit {
	dead := make(chan struct{})
	signalled := make(chan int, 1)
	s := program.System{
		Args: p.Request.Workload.Command, Env: p.Env, Out: p.Out, Term: p.Term, Dead: dead,
		Listen: func(port string) (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:"+port) },
		Secret: func(name string) ([]byte, error) {
			if v, ok := p.Request.Secrets[name]; ok {
				return v, nil
			}
			return nil, http.ErrMissingFile
		},
		Burn:   p.Burn,
		Signal: func(n int) { signalled <- n },
	}
	children := make(chan int, 10)
	started := 0
	s.Spawn = func(bool) error {
		started++
		child := s
		child.Args = []string{"child"}
		go func() { children <- program.Run(child) }()
		return nil
	}
	done := make(chan int, 1)
	go func() { done <- program.Run(s) }()
	e := pod.Exit{}
	select {
	case e.Code = <-done:
		close(dead)
	case n := <-signalled:
		close(dead)
		<-done
		e.Code = 128 + n
	case <-p.Kill:
		close(dead)
		<-done
		e.Code = 137
	}
	for range started {
		<-children
	}
	return e
}

var (
	testCluster = pod.Cluster{Name: "c", ID: "1"}
	testID      = pod.NodeID{Pod: "web", Name: "n1"}
)

func testRequest() pod.StartRequest {
	return pod.StartRequest{ID: testID, Revision: "r", Workload: pod.Workload{Command: []string{"x"}, Ports: map[string]int{"http": 80}}}
}

func TestFakeInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewFakeHost()
		rt := h.Open(testCluster)
		defer rt.Close()
		h.SetStartDelay(250 * time.Millisecond)
		h.SetStopDelay(3 * time.Second)

		var events []pod.Event
		ctx, cancel := context.WithCancel(t.Context())
		watched := make(chan error)
		go func() { watched <- rt.Watch(ctx, func(e pod.Event) { events = append(events, e) }) }()
		synctest.Wait()

		began := time.Now()
		n, err := rt.Start(t.Context(), testRequest())
		require.NoError(t, err)
		assert.Equal(t, 250*time.Millisecond, time.Since(began))
		assert.Equal(t, map[string]string{"http": "127.0.0.1:20001"}, n.Endpoints)

		h.SetUsage(testID, 0.5, 100<<20)
		time.Sleep(10 * time.Second)
		snap, err := rt.Observe(t.Context())
		require.NoError(t, err)
		assert.Equal(t, pod.Usage{At: time.Now(), CPU: 5 * time.Second, Memory: 100 << 20}, snap.Nodes[0].Usage)
		assert.Equal(t, 0.5, *snap.Host.Used.CPU)

		h.Log(testID, "good bye")
		h.OOM(testID)
		snap, err = rt.Observe(t.Context())
		require.NoError(t, err)
		assert.Equal(t, &pod.Exit{Code: 137, OOMKilled: true, At: time.Now(), LastLog: []string{"good bye"}}, snap.Nodes[0].Exit)

		_, err = rt.Start(t.Context(), testRequest())
		require.NoError(t, err)
		began = time.Now()
		require.NoError(t, stopError(rt.Stop(t.Context(), testID, 10*time.Second)))
		assert.Equal(t, 3*time.Second, time.Since(began))

		_, err = rt.Start(t.Context(), testRequest())
		require.NoError(t, err)
		h.SetStopDelay(time.Hour)
		began = time.Now()
		require.NoError(t, stopError(rt.Stop(t.Context(), testID, 10*time.Second)))
		assert.Equal(t, 10*time.Second, time.Since(began))

		synctest.Wait()
		assert.Equal(t, []pod.EventKind{
			pod.EventStarted, pod.EventEnded, pod.EventStarted, pod.EventEnded, pod.EventStarted, pod.EventEnded,
		}, kinds(events))
		cancel()
		assert.ErrorIs(t, <-watched, context.Canceled)
		assert.Len(t, h.Calls("start"), 3)
		assert.Equal(t, 10*time.Second, h.Calls("stop")[1].Grace)
	})
}

func kinds(events []pod.Event) (out []pod.EventKind) {
	for _, e := range events {
		out = append(out, e.Kind)
	}
	return out
}

func TestFakeFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewFakeHost()
		rt := h.Open(testCluster)
		defer rt.Close()
		boom := errors.New("boom")
		h.FailStarts(1, boom)
		_, err := rt.Start(t.Context(), testRequest())
		assert.ErrorIs(t, err, boom)
		_, err = rt.Start(t.Context(), testRequest())
		require.NoError(t, err)

		watched := make(chan error)
		go func() { watched <- rt.Watch(t.Context(), func(pod.Event) {}) }()
		synctest.Wait()
		h.SetUnreachable(true)
		assert.ErrorIs(t, <-watched, pod.ErrUnreachable)
		_, err = rt.Observe(t.Context())
		assert.ErrorIs(t, err, pod.ErrUnreachable)
		assert.ErrorIs(t, stopError(rt.Stop(t.Context(), testID, 0)), pod.ErrUnreachable)
		assert.Len(t, h.Nodes(), 1, "nodes of an unreachable host go on")
		h.SetUnreachable(false)

		h.FailObserve(boom)
		_, err = rt.Observe(t.Context())
		assert.ErrorIs(t, err, boom)
		h.FailObserve(nil)
		h.FailPrepare(pod.ErrImage)
		_, err = rt.Prepare(t.Context(), pod.Workload{}, "", nil)
		assert.ErrorIs(t, err, pod.ErrImage)

		h.Vanish(testID)
		assert.Empty(t, h.Nodes())
		assert.ErrorIs(t, h.Calls("start")[0].Err, boom)
	})
}

func TestFakeStartCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewFakeHost()
		rt := h.Open(testCluster)
		defer rt.Close()
		h.SetStartDelay(time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := rt.Start(ctx, testRequest())
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Second, time.Since(began))
		assert.Empty(t, h.Nodes())
	})
}
