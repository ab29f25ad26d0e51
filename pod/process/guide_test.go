package process_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/podtest"
	"github.com/elastipod/elastipod/pod/process"
)

// The runtime of the guide, pod/README.md.

// region: runtime

// gentle is a runtime that starts the nodes of another one with some time
// between them, for machines on which ten that start at once disturb what runs.
type gentle struct {
	pod.Runtime // Observe, Stop, Extras and Close are its own
	every       time.Duration

	mu   sync.Mutex
	next time.Time // the first moment at which another node may start
}

// Start implements [pod.Runtime]: it waits for its turn, or for the end of ctx.
func (g *gentle) Start(ctx context.Context, r pod.StartRequest) (pod.Node, error) {
	g.mu.Lock()
	now := time.Now()
	at := g.next
	if at.Before(now) {
		at = now
	}
	g.next = at.Add(g.every)
	g.mu.Unlock()

	turn := time.NewTimer(at.Sub(now))
	defer turn.Stop()
	select {
	case <-ctx.Done():
		return pod.Node{}, fmt.Errorf("start node %s: %w", r.ID, ctx.Err())
	case <-turn.C:
	}
	return g.Runtime.Start(ctx, r)
}

// end

// region: test

func TestGentle(t *testing.T) {
	dir := t.TempDir()
	podtest.Run(t, podtest.Harness{
		Open: func(t *testing.T, c pod.Cluster) pod.Runtime {
			inner, err := process.New(process.Config{Cluster: c, Dir: dir, Supervisor: supervisor()})
			require.NoError(t, err)
			return &gentle{Runtime: inner, every: 5 * time.Millisecond}
		},
		Workload:    helper,
		Missing:     pod.Workload{Command: []string{"/no/such/program"}},
		Unsupported: map[string]pod.Workload{"an image": {Image: "nginx"}},
	})
}

// helper is this program, as the node that the suite starts.
func helper(args ...string) pod.Workload {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return pod.Workload{Command: append([]string{exe, podtest.HelperArg}, args...), Env: quick}
}

// end

// quick is the environment of processes that this program becomes. Built with
// -race they would sleep for a second before they exit; built with -cover they
// say where they write what was run, and complain where they do not know.
var quick = map[string]string{"GORACE": "atexit_sleep_ms=0", "GOCOVERDIR": os.Getenv("GOCOVERDIR")}

// supervisor is this program, as the supervisor of a node.
func supervisor() []string {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	out := []string{"/usr/bin/env"}
	for k, v := range quick {
		out = append(out, k+"="+v)
	}
	return append(out, exe, "supervise")
}

func TestGentleTakesTurns(t *testing.T) {
	host := podtest.NewFakeHost()
	g := &gentle{Runtime: host.Open(pod.Cluster{Name: "t", ID: "1"}), every: 30 * time.Millisecond}
	defer func() { require.NoError(t, g.Close()) }()
	began := time.Now()
	for i := range 3 {
		_, err := g.Start(t.Context(), pod.StartRequest{ID: pod.NodeID{Pod: "web", Name: fmt.Sprint("n", i)}})
		require.NoError(t, err)
	}
	assert.GreaterOrEqual(t, time.Since(began), 60*time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := g.Start(ctx, pod.StartRequest{ID: pod.NodeID{Pod: "web", Name: "late"}})
	require.ErrorIs(t, err, context.Canceled)
	assert.NotNil(t, g.Extras().Watcher, "a wrapper passes on what the other one has")
}
