package process_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/process"
)

// A program is its own supervisor: main hands over to Supervise before it does
// anything else.
func ExampleNew() {
	if len(os.Args) > 1 && os.Args[1] == "supervise" {
		os.Exit(process.Supervise(os.Args[2:]))
	}

	exe, err := os.Executable()
	if err != nil {
		log.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "nodes")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	rt, err := process.New(process.Config{
		Cluster:    pod.Cluster{Name: "example", ID: "4f1c"},
		Dir:        dir,
		Supervisor: []string{exe, "supervise"},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Close()

	ctx := context.Background()
	spec := pod.Spec{Name: "greeter", Workload: pod.Workload{Command: []string{"sleep", "60"}}}.WithDefaults()
	id := pod.NodeID{Pod: spec.Name, Name: "n1"}
	node, err := rt.Start(ctx, pod.StartRequest{ID: id, Workload: spec.Workload, Limits: spec.Limits})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(node.ID, node.Phase)
	if _, err := rt.Stop(ctx, id, time.Second); err != nil {
		log.Fatal(err)
	}
	// Output: greeter/n1 running
}
