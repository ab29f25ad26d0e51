package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/elastipod/elastipod/cms"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "supervise" || os.Args[1] == "worker") {
		os.Exit(child(os.Args[1], os.Args[2:]))
	}
	goleak.VerifyTestMain(m)
}

// TestPool sends more and more requests at a time: the pool grows for them, no
// request fails, and nothing is left of it at the end.
func TestPool(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	front := l.Addr().String()
	require.NoError(t, l.Close())
	dir, err := os.MkdirTemp("/tmp", "ep")
	require.NoError(t, err)
	defer os.RemoveAll(dir)

	client := &http.Client{Timeout: 20 * time.Second}
	defer client.CloseIdleConnections()
	var mu sync.Mutex
	workers := map[string]bool{}
	ask := func() {
		r, err := client.Get("http://" + front + "/?for=50ms")
		if !assert.NoError(t, err) {
			return
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		assert.Equal(t, http.StatusOK, r.StatusCode)
		mu.Lock()
		workers[strings.TrimSpace(string(body))] = true
		mu.Unlock()
	}
	var node cms.NodeStatus
	err = run(t.Context(), dir, front, func(m *cms.Manager) {
		p, err := m.Pod("pool")
		require.NoError(t, err)
		require.Len(t, p.Nodes, 1)
		node = p.Nodes[0]
		ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
		defer stop()
		var wg sync.WaitGroup
		for range 8 { // at a time: four workers for two each
			wg.Go(func() {
				for ctx.Err() == nil {
					ask()
				}
			})
		}
		_, err = m.WaitPod(ctx, "pool", func(s cms.PodStatus) bool { return s.Want == 4 && s.Converged })
		assert.NoError(t, err)
		time.Sleep(300 * time.Millisecond) // the last ones get some too
		stop()
		wg.Wait()
	})
	require.NoError(t, err)
	assert.GreaterOrEqual(t, len(workers), 4, "%v", workers)
	_, err = net.DialTimeout("tcp", node.Endpoints["http"], time.Second)
	assert.Error(t, err, "a worker is still there")
}
