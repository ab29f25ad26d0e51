package docker_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/docker"
)

func ExampleNew() {
	rt, err := docker.New(docker.Config{
		Cluster: pod.Cluster{Name: "shop", ID: "4f2d7c1b9a8e6035"},
		Host:    pod.Host{Name: "local", Runtime: "docker"},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Close()

	spec := pod.Spec{Name: "web", Workload: pod.Workload{
		Image: "nginx:1.27", Ports: map[string]int{"http": 80},
	}}.WithDefaults()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	node, err := rt.Start(ctx, pod.StartRequest{
		ID: pod.NodeID{Pod: "web", Name: "web-1"}, Revision: "1", Workload: spec.Workload, Limits: spec.Limits,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(node.ID, "answers at", node.Endpoints["http"])
}

func ExampleNew_remote() {
	_, err := docker.New(docker.Config{
		Cluster: pod.Cluster{Name: "shop", ID: "4f2d7c1b9a8e6035"},
		Host:    pod.Host{Name: "far", Runtime: "docker", Address: "tcp://10.0.0.5:2376", Bind: "127.0.0.1"},
	})
	fmt.Println(err)
	// Output:
	// docker: open host "far": host.tls: is incomplete for tcp://10.0.0.5:2376; set ca, cert and key: an engine on tcp without TLS gives root to whoever reaches it | host.bind: 127.0.0.1 is loopback: nodes of a remote host could not be reached from here; use an address of that host that this machine can dial
}
