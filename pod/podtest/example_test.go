package podtest_test

import (
	"context"
	"fmt"

	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/podtest"
)

// A test decides what happens to nodes on a fake host.
func ExampleFakeHost() {
	host := podtest.NewFakeHost()
	rt := host.Open(pod.Cluster{Name: "test", ID: "1"})
	defer rt.Close()

	ctx := context.Background()
	id := pod.NodeID{Pod: "web", Name: "n1"}
	if _, err := rt.Start(ctx, pod.StartRequest{ID: id, Workload: pod.Workload{Ports: map[string]int{"http": 80}}}); err != nil {
		panic(err)
	}
	host.Log(id, "heap exhausted")
	host.OOM(id)

	snap, err := rt.Observe(ctx)
	if err != nil {
		panic(err)
	}
	n := snap.Nodes[0]
	fmt.Println(n.ID, n.Endpoints["http"], n.Phase)
	fmt.Println(n.Exit.Reason())
	// Output:
	// web/n1 127.0.0.1:20001 exited
	// out of memory (killed at its memory limit): heap exhausted
}
