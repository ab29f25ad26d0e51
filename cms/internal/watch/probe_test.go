package watch

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/internal/faults"
	"github.com/elastipod/elastipod/pod"
)

func alive() error { return nil }

func ready(ctx context.Context, p pod.Probe, n pod.Node, ended func() error) error {
	try, err := Prober(p, n.Endpoints, nil)
	if err != nil {
		return err
	}
	return AwaitReady(ctx, p, try, ended)
}

func httpProbe(deadline time.Duration) pod.Probe {
	return pod.Probe{Kind: pod.ProbeHTTP, Path: "/healthz?deep=1", Port: "http", Interval: 20 * time.Millisecond, Timeout: 200 * time.Millisecond, StartDeadline: deadline}
}

// serveHTTP answers with what f says.
func serveHTTP(t *testing.T, f http.HandlerFunc) pod.Node {
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return pod.Node{Endpoints: map[string]string{"http": strings.TrimPrefix(s.URL, "http://")}}
}

func TestProbeHTTPWaitsForAGoodAnswer(t *testing.T) {
	var asked atomic.Int64
	n := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "/healthz?deep=1", r.URL.RequestURI())
		if asked.Add(1) < 4 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	require.NoError(t, ready(t.Context(), httpProbe(10*time.Second), n, alive))
	assert.EqualValues(t, 4, asked.Load(), "a 500 is not ready; the first 200 is")
}

func TestProbeRedirectIsAnAnswer(t *testing.T) {
	var asked atomic.Int64
	n := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		http.Redirect(w, r, "http://127.0.0.1:1/elsewhere", http.StatusFound)
	})
	require.NoError(t, ready(t.Context(), httpProbe(10*time.Second), n, alive))
	assert.EqualValues(t, 1, asked.Load(), "and is not followed")
}

func TestProbeDeadline(t *testing.T) {
	n := serveHTTP(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	begun := time.Now()
	err := ready(t.Context(), httpProbe(150*time.Millisecond), n, alive)
	require.ErrorIs(t, err, faults.ErrNotReady)
	assert.ErrorContains(t, err, "503", "it says what was wrong last")
	assert.GreaterOrEqual(t, time.Since(begun), 150*time.Millisecond)

	hangs := serveHTTP(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	err = ready(t.Context(), httpProbe(150*time.Millisecond), hangs, alive)
	require.ErrorIs(t, err, faults.ErrNotReady, "one try is bounded too")
	assert.Equal(t, "not ready after 150ms: there was no answer in time", faults.Of(err).Text)
}

func TestProbeTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	n := pod.Node{Endpoints: map[string]string{"main": l.Addr().String()}}
	p := pod.Probe{Kind: pod.ProbeTCP, Port: "main", Interval: 10 * time.Millisecond, Timeout: 100 * time.Millisecond, StartDeadline: 100 * time.Millisecond}
	require.NoError(t, ready(t.Context(), p, n, alive))
	require.NoError(t, l.Close())
	require.ErrorIs(t, ready(t.Context(), p, n, alive), faults.ErrNotReady, "nobody listens any more")
}

func TestProbeNeedsItsPort(t *testing.T) {
	require.NoError(t, ready(t.Context(), pod.Probe{Kind: pod.ProbeNone}, pod.Node{}, alive), "nothing to ask")
	err := ready(t.Context(), httpProbe(time.Second), pod.Node{}, alive)
	require.ErrorIs(t, err, faults.ErrNotReady)
	assert.ErrorContains(t, err, `"http"`)
}

func TestProbeEndsWithTheNodeOrTheManager(t *testing.T) {
	n := serveHTTP(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	died, tries := errors.New("exit code 3"), 0
	err := ready(t.Context(), httpProbe(time.Minute), n, func() error {
		if tries++; tries < 3 {
			return nil
		}
		return died
	})
	require.ErrorIs(t, err, died)

	ctx, cancel := context.WithCancel(t.Context())
	err = ready(ctx, httpProbe(time.Minute), n, func() error { cancel(); return nil })
	require.ErrorIs(t, err, context.Canceled)
}
