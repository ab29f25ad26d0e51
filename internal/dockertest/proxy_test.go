package dockertest_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/internal/dockertest"
)

// throughProxy returns a proxy before a made-up engine, and a client of it.
func throughProxy(t *testing.T, engine http.HandlerFunc) (*dockertest.Proxy, *client.Client) {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "ep")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "e.sock")
	l, err := net.Listen("unix", socket)
	require.NoError(t, err)
	s := &http.Server{Handler: engine}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	p, err := dockertest.NewProxy(socket)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	c, err := client.NewClientWithOpts(client.WithHost(p.Address()), client.WithVersion("1.41"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return p, c
}

func TestProxyMakesFaults(t *testing.T) {
	var starts atomic.Int32
	p, c := throughProxy(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/start") {
			starts.Add(1)
		}
		w.WriteHeader(http.StatusNoContent)
	})
	start := func() error { return c.ContainerStart(t.Context(), "x", container.StartOptions{}) }
	require.NoError(t, start())
	assert.EqualValues(t, 1, starts.Load())

	p.SetFault(func(*http.Request) dockertest.Fault {
		return dockertest.Fault{Status: 500, Message: "no space left on device"}
	})
	require.ErrorContains(t, start(), "no space left on device")
	assert.EqualValues(t, 1, starts.Load(), "the engine heard nothing")

	p.SetFault(func(*http.Request) dockertest.Fault { return dockertest.Fault{Cut: true} })
	require.Error(t, start())
	assert.EqualValues(t, 1, starts.Load())
	p.SetFault(func(*http.Request) dockertest.Fault { return dockertest.Fault{Cut: true, After: true} })
	require.Error(t, start())
	assert.EqualValues(t, 2, starts.Load(), "done, and nobody knows")

	p.SetFault(nil)
	p.SetDelay(200 * time.Millisecond)
	begun := time.Now()
	require.NoError(t, start())
	assert.GreaterOrEqual(t, time.Since(begun), 200*time.Millisecond)
	p.SetDelay(time.Hour)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, c.ContainerStart(ctx, "x", container.StartOptions{}), context.DeadlineExceeded)
	calls := p.Calls()
	require.NotEmpty(t, calls)
	assert.Equal(t, "/v1.41/containers/x/start", calls[len(calls)-1].Path)
	assert.Equal(t, "POST", calls[len(calls)-1].Method)
	require.NoError(t, p.Close(), "with a call that waits")
}

// Events come through as they happen, and end when the proxy does.
func TestProxyPassesStreamsOn(t *testing.T) {
	more := make(chan struct{})
	p, c := throughProxy(t, func(w http.ResponseWriter, r *http.Request) {
		for {
			_, _ = w.Write([]byte(`{"Type":"container","Action":"die"}` + "\n"))
			w.(http.Flusher).Flush()
			select {
			case <-more:
			case <-r.Context().Done():
				return
			}
		}
	})
	messages, errs := c.Events(t.Context(), events.ListOptions{})
	for range 3 {
		select {
		case m := <-messages:
			assert.Equal(t, events.ActionDie, m.Action)
		case err := <-errs:
			require.NoError(t, err)
		case <-time.After(10 * time.Second):
			require.FailNow(t, "no event came through")
		}
		more <- struct{}{}
	}
	require.NoError(t, p.Close())
	go func() {
		for range messages {
		}
	}()
	require.Error(t, <-errs)
}
