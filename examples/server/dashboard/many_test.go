package dashboard_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"time"

	"github.com/elastipod/elastipod/balancer"
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

const (
	manyPods  = 100
	manyNodes = 20 // of each
	wavering  = 5  // pods that now and then have a node less
)

// mainMany serves 100 pods of 20 nodes each, all of them fakes, whose figures
// change each second, until its input ends: a process of its own, whose CPU time
// can be read. It says its address once everything is there.
func mainMany(stdin io.Reader, stdout io.Writer, tick time.Duration) error {
	host := podtest.NewFakeHost()
	host.Capacity = pod.Resources{CPU: 10000, Memory: 1 << 44}
	proxy, store := balancertest.NewFake(), cmstest.NewStore()
	m, err := cms.New(cms.Config{
		Name: "harbour", Store: store, Balancer: proxy, Tick: tick,
		Hosts:       []pod.Host{{Name: "local", Runtime: "process"}},
		OpenRuntime: func(_ context.Context, _ pod.Host, c pod.Cluster) (pod.Runtime, error) { return host.Open(c), nil },
	})
	if err != nil {
		return err
	}
	a, err := api.New(api.Config{Manager: m})
	if err != nil {
		return err
	}
	page, err := dashboard.New(serve.Page{Cluster: "harbour"})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", page)
	mux.Handle("GET "+serve.PagePrefix, page)
	mux.Handle("/", a.Handler())
	server := httptest.NewUnstartedServer(mux)
	a.Bound(server.Config)
	server.Start()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	defer server.Close()
	defer a.Close()
	running.Go(func() {
		if err := m.Run(ctx); err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, err)
		}
	})
	<-m.Ready()
	for i := range manyPods {
		if err := manyNodesOf(ctx, m, i); err != nil {
			return err
		}
	}
	running.Go(func() { everythingChanges(ctx, proxy) })
	fmt.Fprintln(stdout, server.URL)
	_, err = io.Copy(io.Discard, stdin)
	return err
}

func manyName(i int) string { return fmt.Sprintf("pod-%02d", i) }

// manyNodesOf makes a pod, which then starts its nodes by itself.
func manyNodesOf(ctx context.Context, m *cms.Manager, i int) error {
	name := manyName(i)
	if _, err := m.CreatePod(ctx, cms.PodSpec{
		Spec: pod.Spec{
			Name: name, MaxNodes: manyNodes + 4, Limits: pod.Limits{CPU: 0.1, Memory: 10 << 20}, Drain: 200 * time.Millisecond,
			Workload: pod.Workload{Command: []string{"/x"}, Ports: map[string]int{"http": 80}, Probe: pod.Probe{Kind: pod.ProbeNone}},
		},
		Fronts: []cms.Front{{Front: balancer.Front{Name: name, Listen: fmt.Sprintf("127.0.0.1:%d", 40000+i)}}},
	}); err != nil {
		return err
	}
	least := manyNodes
	if i < wavering {
		least -= 2
	}
	_, err := m.SetElasticity(ctx, name, cms.Elasticity{Enabled: true, Min: least, Max: manyNodes,
		Policy: &elastic.Cooldown{Up: 5 * time.Second, Down: 10 * time.Second, Policy: elastic.Target{Metric: elastic.MetricInFlight, Value: 50}}})
	return err
}

// everythingChanges gives each front requests, times and, so that it can be told
// which reading is on a screen, a number of requests in flight that no reading
// before had.
func everythingChanges(ctx context.Context, proxy *balancertest.Fake) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for round := 0; ; round++ {
		for i := range manyPods {
			name := manyName(i)
			proxy.AddRequests(name, "", uint64(rand.IntN(100)), 0)
			proxy.SetLatencies(name, 100, time.Duration(1+rand.IntN(50))*time.Millisecond)
			proxy.SetWaiting(name, 850+round%300)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
