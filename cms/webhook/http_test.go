package webhook_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/webhook"
)

// receiver is a server that verifies what it is sent, as a user's would.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	took  []time.Duration // from event to receiver
	ids   []string
	wrong []error
}

func newReceiver(t testing.TB, secret string) *receiver {
	t.Helper()
	w, err := standardwebhooks.NewWebhook(secret)
	require.NoError(t, err)
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err == nil {
			err = w.Verify(body, req.Header)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if err != nil {
			r.wrong = append(r.wrong, err)
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		r.ids = append(r.ids, req.Header.Get("webhook-id"))
		_, at, _ := strings.Cut(string(body), `"timestamp":"`)
		at, _, _ = strings.Cut(at, `"`)
		if happened, err := time.Parse(time.RFC3339Nano, at); err == nil {
			r.took = append(r.took, time.Since(happened))
		}
		rw.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ids)
}

func (r *receiver) target(name string, secrets ...string) webhook.Target {
	return webhook.Target{Name: name, URL: r.URL, Secrets: secrets, Types: []string{"*"}, Queue: 100_000}
}

// Over real connections, with the transport that is the default: one receiver
// knows the old secret only, one the new, one neither.
func TestRealReceivers(t *testing.T) {
	h := newHub()
	old, changed, foreign := newReceiver(t, secretA), newReceiver(t, secretB), newReceiver(t, "whsec_"+strings.Repeat("QUFB", 8))
	s, _ := begin(t, h, nil, old.target("old", secretB, secretA), changed.target("new", secretB, secretA), foreign.target("foreign", secretB, secretA))
	const n = 200
	for range n {
		h.emit(scaled("web"))
	}
	require.Eventually(t, func() bool {
		return old.count() == n && changed.count() == n && status(t, s, "foreign").Failed == n
	}, 20*time.Second, 5*time.Millisecond)
	assert.Empty(t, old.wrong)
	assert.Empty(t, changed.wrong)
	assert.Zero(t, foreign.count())
	unique := slices.Compact(slices.Sorted(slices.Values(old.ids)))
	assert.Len(t, unique, n, "each event has an id of its own")
	assert.Equal(t, "c1-1-old", old.ids[0])
	assert.Equal(t, "c1-200-old", old.ids[n-1])
}

// What a receiver may do wrong costs the sender no more than the time-out.
func TestBadReceivers(t *testing.T) {
	release := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/hangs", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/endless", func(w http.ResponseWriter, _ *http.Request) {
		block := make([]byte, 32<<10)
		for {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
	followed := false
	mux.HandleFunc("/redirects", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/followed", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/followed", func(http.ResponseWriter, *http.Request) { followed = true })
	mux.HandleFunc("/hangs-up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	mux.HandleFunc("/long-head", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 100<<10)) })
	server := httptest.NewServer(mux)
	defer server.Close()
	defer close(release)
	secure := httptest.NewTLSServer(mux)
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	defer secure.Close()

	h := newHub()
	var targets []webhook.Target
	for name, url := range map[string]string{
		"hangs": server.URL + "/hangs", "endless": server.URL + "/endless", "redirects": server.URL + "/redirects", "hangs-up": server.URL + "/hangs-up",
		"long-head": server.URL + "/long-head", "not-trusted": secure.URL + "/followed", "nobody": "http://127.0.0.1:1/",
	} {
		target := webhook.Target{Name: name, URL: url + "?key=s3cret", Secrets: []string{secretA}, Timeout: 30 * time.Second}
		if name == "hangs" {
			target.Timeout = 200 * time.Millisecond
		}
		targets = append(targets, target)
	}
	s, end := begin(t, h, nil, targets...)
	for name, want := range map[string]string{
		"hangs": "no answer within 200ms", "redirects": "status 307: redirects are not followed", "hangs-up": "EOF", "long-head": "server response headers exceeded",
		"not-trusted": "certificate", "nobody": "refused", "endless": "",
	} {
		result, err := s.Test(t.Context(), name)
		require.NoError(t, err)
		assert.Equal(t, want == "", result.Delivered, name)
		assert.Contains(t, result.Error, want, name)
		assert.NotContains(t, result.Error, "s3cret")
	}
	assert.False(t, followed)
	assert.Less(t, end(), 10*time.Second)
}

// What is logged and shown holds neither secrets nor the path of an URL.
func TestNothingSecretIsShown(t *testing.T) {
	var b strings.Builder
	var mu sync.Mutex
	log := slog.New(slog.NewJSONHandler(writer(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return b.Write(p)
	}), nil))
	h := newHub()
	r := &receivers{t: t, answer: func(_ *http.Request, n int) (*http.Response, error) {
		if n == 0 {
			return reply(400), nil
		}
		return reply(410), nil
	}}
	target := webhook.Target{Name: "chat", URL: "https://chat.example.com/services/s3cret?k=s3cret", Secrets: []string{secretA}}
	s, err := webhook.New(webhook.Config{Manager: h, Targets: []webhook.Target{target}, Transport: r, Logger: log})
	require.NoError(t, err)
	s.SetSubscribe(h.subscribe)
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { assert.NoError(t, s.Run(ctx)) })
	h.emit(scaled("web"), scaled("web"), scaled("web"))
	require.Eventually(t, func() bool { return status(t, s, "chat").State == "disabled" }, 10*time.Second, time.Millisecond)
	cancel()
	done.Wait()
	assert.Contains(t, b.String(), "chat (https://chat.example.com)")
	assert.Contains(t, b.String(), "gone")
	for _, secret := range []string{"s3cret", secretA, secretA[6:]} {
		assert.NotContains(t, b.String(), secret)
	}
	assert.Equal(t, "https://chat.example.com", status(t, s, "chat").Origin)
}

type writer func(p []byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// BenchmarkSend measures events a second to one receiver on loopback, with
// signing and verifying, and the time from event to receiver without a queue.
func BenchmarkSend(b *testing.B) {
	r := newReceiver(b, secretA)
	h := newHub()
	s, err := webhook.New(webhook.Config{Manager: h, Targets: []webhook.Target{r.target("a", secretA)}})
	require.NoError(b, err)
	s.SetSubscribe(h.subscribe)
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { _ = s.Run(ctx) })
	b.Run("throughput", func(b *testing.B) {
		before := r.count()
		for range b.N {
			h.emit(scaled("web"))
		}
		for r.count() < before+b.N {
			time.Sleep(time.Millisecond)
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	})
	b.Run("latency", func(b *testing.B) {
		before := r.count()
		for i := range b.N {
			h.emit(scaled("web"))
			for r.count() <= before+i {
				time.Sleep(100 * time.Microsecond)
			}
		}
		took := slices.Sorted(slices.Values(r.took[before:]))
		b.ReportMetric(float64(took[len(took)/2].Microseconds()), "median-us")
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us")
	})
	cancel()
	done.Wait()
}
