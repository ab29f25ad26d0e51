package dashboard_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer/balancertest"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/api"
	"github.com/elastipod/elastipod/cms/cmstest"
	"github.com/elastipod/elastipod/cms/serve"
	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/examples/server/dashboard"
	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/podtest"
)

// stage is a server over fakes in this process: it does at once, and exactly,
// what a test wants to see.
type stage struct {
	t       *testing.T
	url     string
	hosts   map[string]*podtest.FakeHost
	proxy   *balancertest.Fake
	manager *cms.Manager
}

// newStage begins without pods; "Create the default pods" makes shop. It knows
// the hosts local, spare and third, of which it has the first, and a kind of
// policy that tells nothing about its settings.
func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{t: t, proxy: balancertest.NewFake(), hosts: map[string]*podtest.FakeHost{
		"local": podtest.NewFakeHost(), "spare": podtest.NewFakeHost(), "third": podtest.NewFakeHost(),
	}}
	policies := elastic.NewRegistry()
	require.NoError(t, policies.Register(elastic.Kind{Name: "own", Summary: "A kind of this server only.", New: func(raw json.RawMessage, _ *elastic.Registry) (elastic.Policy, error) {
		var w struct {
			Lower float64 `json:"lower"`
			Upper float64 `json:"upper"`
		}
		if err := elastic.Decode(raw, &w); err != nil {
			return nil, err
		}
		return elastic.Threshold{Lower: w.Lower, Upper: w.Upper}, nil
	}}))
	store := cmstest.NewStore()
	m, err := cms.New(cms.Config{
		Name: "harbour", Store: store, Balancer: s.proxy, Tick: 200 * time.Millisecond, Policies: policies,
		Hosts: []pod.Host{{Name: "local", Runtime: "process"}},
		OpenRuntime: func(_ context.Context, h pod.Host, c pod.Cluster) (pod.Runtime, error) {
			host, ok := s.hosts[h.Name]
			if !ok {
				return nil, fmt.Errorf("dial %s: <b>nobody there</b>", h.Name)
			}
			return host.Open(c), nil
		},
		DefaultPods: []cms.PodSpec{{Spec: pod.Spec{
			Name: "shop", MaxNodes: 8, Limits: pod.Limits{CPU: 0.5, Memory: 64 << 20}, Drain: 100 * time.Millisecond, Grace: 100 * time.Millisecond,
			Workload: pod.Workload{Command: []string{"/shop"}, Ports: map[string]int{"http": 80}, Probe: pod.Probe{Kind: pod.ProbeNone}},
		}}},
	})
	require.NoError(t, err)
	s.manager = m
	a, err := api.New(api.Config{Manager: m, Tokens: []api.Token{{Name: "ops", Role: api.Operator, Secret: operator}}})
	require.NoError(t, err)
	page, err := dashboard.New(serve.Page{Cluster: "harbour", Tokens: true})
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", page)
	mux.Handle("GET "+serve.PagePrefix, page)
	mux.Handle("/", a.Handler())
	server := httptest.NewServer(mux)
	s.url = server.URL
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = m.Run(ctx) })
	t.Cleanup(func() {
		_ = a.Close()
		server.Close()
		cancel()
		running.Wait()
		_ = s.proxy.Close()
		_ = store.Close()
	})
	<-m.Ready()
	return s
}

// api asks the server past the page.
func (s *stage) api(method, path, body string, into any) int {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	require.NoError(s.t, err)
	req.Header.Set("Authorization", "Bearer "+operator)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	r, err := client.Do(req)
	require.NoError(s.t, err)
	defer r.Body.Close()
	data, err := io.ReadAll(r.Body)
	require.NoError(s.t, err)
	if into != nil && r.StatusCode < 300 {
		require.NoError(s.t, json.Unmarshal(data, into), "%s", data)
	}
	return r.StatusCode
}

// holds waits until what the API answers is as wanted.
func holds[T any](s *stage, path string, ok func(T) bool) (v T) {
	s.t.Helper()
	if !assert.Eventually(s.t, func() bool {
		var now T
		v = now
		return s.api("GET", path, "", &v) == 200 && ok(v)
	}, 20*time.Second, 50*time.Millisecond) {
		s.t.Fatalf("%s: %+v", path, v)
	}
	return v
}

// put gives a field a value, as typing or choosing does.
func (b *browser) put(selector, value string) {
	b.t.Helper()
	b.sees(selector, "")
	eval[any](b, `(() => { const x = document.querySelector(%s); x.focus(); x.value = %s; x.dispatchEvent(new Event('input', {bubbles: true})); x.dispatchEvent(new Event('change', {bubbles: true})); return 1 })()`, selector, value)
}

// text waits until an element's text holds a part.
func (b *browser) text(selector, part string) {
	b.t.Helper()
	b.until(`[...document.querySelectorAll(%s)].some(x => x.textContent.includes(%s))`, selector, part)
}

// middle returns where an element is, in the middle of the window.
func (b *browser) box(selector string) (x, y, width, height float64) {
	b.t.Helper()
	b.sees(selector, "")
	r := eval[[]float64](b, `(() => { const x = document.querySelector(%s); x.scrollIntoView({block: 'center'}); const r = x.getBoundingClientRect(); return [r.x, r.y, r.width, r.height] })()`, selector)
	return r[0], r[1], r[2], r[3]
}

func (b *browser) do(a chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.ctx, a))
}
