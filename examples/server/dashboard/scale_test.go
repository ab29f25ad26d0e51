package dashboard_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/heapprofiler"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/balancertest"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/api"
	"github.com/elastipod/elastipod/cms/cmstest"
	"github.com/elastipod/elastipod/examples/server/dashboard"
	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/podtest"
)

const (
	manyPods  = 100
	manyNodes = 20 // of each
)

// many is a server with 100 pods of 20 nodes each, all of them fakes, each pod
// with requests of its own.
func many(t *testing.T) string {
	t.Helper()
	host := podtest.NewFakeHost()
	host.Capacity = pod.Resources{CPU: 10000, Memory: 1 << 44}
	proxy, store := balancertest.NewFake(), cmstest.NewStore()
	m, err := cms.New(cms.Config{
		Name: "harbour", Store: store, Balancer: proxy, Tick: time.Second, History: 600,
		Hosts:       []pod.Host{{Name: "local", Runtime: "process"}},
		OpenRuntime: func(_ context.Context, _ pod.Host, c pod.Cluster) (pod.Runtime, error) { return host.Open(c), nil },
	})
	require.NoError(t, err)
	a, err := api.New(api.Config{Manager: m})
	require.NoError(t, err)
	page, err := dashboard.New(dashboard.Config{Cluster: "harbour"})
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", page)
	mux.Handle("GET "+dashboard.Prefix, page)
	mux.Handle("/", a.Handler())
	server := httptest.NewUnstartedServer(mux)
	a.Bound(server.Config)
	server.Start()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { assert.NoError(t, m.Run(ctx)) })
	t.Cleanup(func() {
		_ = a.Close()
		server.Close()
		cancel()
		running.Wait()
		assert.NoError(t, proxy.Close())
		assert.NoError(t, store.Close())
	})
	<-m.Ready()
	name := func(i int) string { return fmt.Sprintf("pod-%02d", i) }
	var making sync.WaitGroup
	for i := range manyPods {
		making.Go(func() { assert.NoError(t, manyNodesOf(ctx, m, name(i), fmt.Sprintf("127.0.0.1:%d", 40000+i))) })
	}
	making.Wait()
	require.Eventually(t, func() bool {
		n := 0
		for _, p := range m.Pods() {
			for _, x := range p.Nodes {
				if x.State == pod.StateOnline {
					n++
				}
			}
		}
		return n == manyPods*manyNodes
	}, 90*time.Second, 500*time.Millisecond, "the nodes never were online")
	running.Go(func() {
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			for i := range manyPods {
				proxy.AddRequests(name(i), "", uint64(rand.IntN(100)), 0)
				proxy.SetLatencies(name(i), 100, time.Duration(1+rand.IntN(50))*time.Millisecond)
			}
		}
	})
	return server.URL
}

// manyNodesOf makes a pod and its nodes.
func manyNodesOf(ctx context.Context, m *cms.Manager, name, listen string) error {
	_, err := m.CreatePod(ctx, cms.PodSpec{
		Spec: pod.Spec{
			Name: name, MaxNodes: manyNodes, Limits: pod.Limits{CPU: 0.1, Memory: 10 << 20},
			Workload: pod.Workload{Command: []string{"/x"}, Ports: map[string]int{"http": 80}, Probe: pod.Probe{Kind: pod.ProbeNone}},
		},
		Fronts: []cms.Front{{Front: balancer.Front{Name: name, Listen: listen}}},
	})
	for i := 0; i < manyNodes && err == nil; i++ {
		if _, err = m.RegisterNode(ctx, name, ""); err == nil {
			_, err = m.Launch(ctx, name)
		}
	}
	return err
}

// measured returns Chromium's figures of the page: seconds and bytes.
func (b *browser) measured() map[string]float64 {
	b.t.Helper()
	r, err := chromedp.Call(b.ctx, performance.GetMetrics, cdp.Empty{})
	require.NoError(b.t, err)
	out := map[string]float64{}
	for _, x := range r.Metrics {
		out[x.Name] = x.Value
	}
	return out
}

func (b *browser) heap() float64 {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, heapprofiler.CollectGarbage, cdp.Empty{})
	require.NoError(b.t, err)
	return b.measured()["JSHeapUsedSize"]
}

// 100 pods of 20 nodes: the page is there at once, needs little of the machine
// while everything changes each second, and its memory does not run away.
func TestManyPods(t *testing.T) {
	began := time.Now()
	address := many(t)
	t.Logf("2,000 nodes were there in %s", time.Since(began).Round(time.Millisecond))
	b := open(t, address)
	_, err := chromedp.Call(b.ctx, performance.Enable, performance.EnableParams{})
	require.NoError(t, err)
	b.until(`document.querySelectorAll('.card.pod').length === 100`)
	b.sees(".node-text", "20 nodes online of at most 20")
	assert.Equal(t, float64(100), eval[float64](b, `[...document.querySelectorAll('.node-text')].filter(x => x.textContent.startsWith('20 nodes online')).length`), "cards out of sight are written too")
	paint := eval[float64](b, `performance.getEntriesByName('first-contentful-paint')[0].startTime`)
	assert.Less(t, paint, float64(1000), "ms to the first paint")

	wait := func(d time.Duration) {
		eval[any](b, fmt.Sprintf(`new Promise(done => setTimeout(() => done(1), %d))`, d.Milliseconds()))
	}
	b.visit("#/pods/pod-07")
	b.until(`document.querySelectorAll('.table tbody tr').length === 20`)
	b.visit("#/")
	wait(3 * time.Second) // what is read once has been read
	for _, page := range []string{"#/", "#/pods/pod-07"} {
		b.visit(page)
		wait(2 * time.Second)
		before, heap := b.measured(), b.heap()
		began := time.Now()
		wait(10 * time.Second)
		after, seconds := b.measured(), time.Since(began).Seconds()
		script := (after["ScriptDuration"] - before["ScriptDuration"]) / seconds * 1000
		all := (after["TaskDuration"] - before["TaskDuration"]) / seconds * 1000
		grown := (b.heap() - heap) / (1 << 20)
		t.Logf("%s: first paint %.0f ms, script %.1f ms/s, all tasks %.1f ms/s, heap %.1f MiB, %+.1f MiB in %.0f s", page, paint, script, all, heap/(1<<20), grown, seconds)
		assert.Less(t, script, float64(50), "%s: ms of script a second", page)
		assert.Less(t, grown, float64(8), "%s: MiB that the heap grew by", page)
	}
	b.visit("#/balancer")
	b.until(`document.querySelectorAll('.table tbody tr').length === 2100`)
	b.visit("#/")
	b.until(`document.querySelectorAll('.card.pod').length === 100`)
	b.shot("overview-many")
}
