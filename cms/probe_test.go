package cms

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/pod"
)

func alive() error { return nil }

func ready(ctx context.Context, p pod.Probe, n pod.Node, ended func() error) error {
	try, err := prober(p, n.Endpoints, nil)
	if err != nil {
		return err
	}
	return awaitReady(ctx, p, try, ended)
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
	require.ErrorIs(t, err, errNotReady)
	assert.ErrorContains(t, err, "503", "it says what was wrong last")
	assert.GreaterOrEqual(t, time.Since(begun), 150*time.Millisecond)

	hangs := serveHTTP(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	require.ErrorIs(t, ready(t.Context(), httpProbe(150*time.Millisecond), hangs, alive), errNotReady, "one try is bounded too")
}

func TestProbeTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	n := pod.Node{Endpoints: map[string]string{"main": l.Addr().String()}}
	p := pod.Probe{Kind: pod.ProbeTCP, Port: "main", Interval: 10 * time.Millisecond, Timeout: 100 * time.Millisecond, StartDeadline: 100 * time.Millisecond}
	require.NoError(t, ready(t.Context(), p, n, alive))
	require.NoError(t, l.Close())
	require.ErrorIs(t, ready(t.Context(), p, n, alive), errNotReady, "nobody listens any more")
}

func TestProbeNeedsItsPort(t *testing.T) {
	require.NoError(t, ready(t.Context(), pod.Probe{Kind: pod.ProbeNone}, pod.Node{}, alive), "nothing to ask")
	err := ready(t.Context(), httpProbe(time.Second), pod.Node{}, alive)
	require.ErrorIs(t, err, errNotReady)
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

func TestSecretsAreReadFromWhereTheyComeFrom(t *testing.T) {
	file := t.TempDir() + "/token"
	require.NoError(t, os.WriteFile(file, []byte("from file"), 0o600))
	t.Setenv("CMS_TEST_SECRET", "from env")
	got, err := readSecrets([]pod.Secret{{Name: "a", FromFile: file}, {Name: "b", FromEnv: "CMS_TEST_SECRET"}})
	require.NoError(t, err)
	assert.Equal(t, map[string]pod.SecretValue{"a": pod.SecretValue("from file"), "b": pod.SecretValue("from env")}, got)
	_, err = readSecrets([]pod.Secret{{Name: "a", FromFile: file + ".missing"}})
	require.ErrorContains(t, err, "read secret a")
	_, err = readSecrets([]pod.Secret{{Name: "b", FromEnv: "CMS_TEST_SECRET_MISSING"}})
	require.ErrorContains(t, err, "CMS_TEST_SECRET_MISSING")
}

func TestRevisions(t *testing.T) {
	s := pod.Spec{Name: "web", Workload: pod.Workload{Image: "nginx", Env: map[string]string{"A": "1", "B": "2"}}, Limits: pod.Limits{CPU: 1}}
	same := s.Clone()
	same.MaxNodes, same.Hosts = 7, []string{"a"}
	assert.Equal(t, revisionOf(s), revisionOf(same), "only what runs counts")
	other := s.Clone()
	other.Limits.CPU = 2
	assert.NotEqual(t, revisionOf(s), revisionOf(other))

	r := withDigest(revisionOf(s), "sha256:0123456789abcdef0123")
	assert.Equal(t, revisionOf(s)+"-0123456789ab", r)
	assert.Equal(t, revisionOf(s), specRevision(r))
	assert.Equal(t, "r-short", withDigest("r", "short"))
	assert.Equal(t, "r-0123456789ab", withDigest("r", "id:sha256:0123456789abcdef"))
	assert.Equal(t, "r", withDigest("r", ""))
}

func TestRetryPausesGrowAndStayBounded(t *testing.T) {
	var r retry
	now := time.Now()
	assert.True(t, r.ready(now))
	last := time.Duration(0)
	for i := range 40 {
		r.failed(now)
		pause := r.next.Sub(now)
		assert.Positive(t, pause)
		assert.LessOrEqual(t, pause, lastRetry)
		if i < 6 {
			assert.GreaterOrEqual(t, pause, firstRetry<<i/2)
			assert.LessOrEqual(t, pause, firstRetry<<i)
			assert.Greater(t, pause, last/2)
		}
		last = pause
		before := r
		r.failed(now.Add(pause / 2))
		assert.Equal(t, before, r, "one that began before counts as the same")
		now = r.next
	}
	assert.GreaterOrEqual(t, last, lastRetry/2)
	r.failed(now)
	assert.False(t, r.ready(now))
	r.reset()
	assert.True(t, r.ready(now))
	r.failed(now)
	assert.LessOrEqual(t, r.next.Sub(now), firstRetry, "as after the first failure")
}
