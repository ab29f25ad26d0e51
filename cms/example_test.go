package cms_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/balancertest"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/cmstest"
	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/podtest"
)

// A manager over backends in memory. A program of yours uses boltstore.Open,
// haproxy.New or inproc.New, and docker.New or process.New instead.
func Example() {
	if err := twoNodes(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 2 nodes: elasticity enabled: 0 → 2
}

func twoNodes(ctx context.Context) (err error) {
	// region: manager
	host := podtest.NewFakeHost()
	m, err := cms.New(cms.Config{
		Store:    cmstest.NewStore(),
		Balancer: balancertest.NewFake(),
		Hosts:    []pod.Host{{Name: "local", Runtime: "fake"}},
		OpenRuntime: func(_ context.Context, _ pod.Host, c pod.Cluster) (pod.Runtime, error) {
			return host.Open(c), nil
		},
	})
	if err != nil {
		return err
	}
	stop, err := m.Start(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop(ctx)) }()

	if _, err := m.CreatePod(ctx, cms.PodSpec{
		Spec: pod.Spec{Name: "web", Workload: pod.Workload{
			Command: []string{"/web"}, Ports: map[string]int{"http": 8080}, Probe: pod.Probe{Kind: pod.ProbeNone},
		}},
		Fronts: []cms.Front{{Front: balancer.Front{Listen: "127.0.0.1:5100"}}},
	}); err != nil {
		return err
	}
	if _, err := m.SetElasticity(ctx, "web", cms.Elasticity{Enabled: true, Min: 2, Max: 5}); err != nil {
		return err
	}
	web, err := m.WaitPod(ctx, "web", func(s cms.PodStatus) bool { return s.Converged && s.Want == 2 })
	if err != nil {
		return err
	}
	fmt.Println(len(web.Nodes), "nodes:", web.LastChange.Decision.Reason())
	return nil
	// end
}
