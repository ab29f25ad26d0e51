// Command embed is a program with an elastic pool of worker processes inside:
// run starts it. The workers are this program again, started as "embed worker".
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/inproc"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/boltstore"
	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/process"
)

func main() {
	if len(os.Args) > 1 {
		os.Exit(child(os.Args[1], os.Args[2:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, filepath.Join(os.TempDir(), "embed"), "127.0.0.1:5080", func(m *cms.Manager) {
		fmt.Println("http://127.0.0.1:5080 is answered by 1 to 4 processes; Ctrl-C ends them")
		<-ctx.Done()
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "embed:", err)
		os.Exit(1)
	}
}

// run keeps an elastic pool of one to four workers behind a front, one for every
// two requests in flight, while use runs.
func run(ctx context.Context, dir, front string, use func(*cms.Manager)) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	store, err := boltstore.Open(filepath.Join(dir, "pool.db"))
	if err != nil {
		return err
	}
	defer store.Close()
	proxy, err := inproc.New(inproc.Config{})
	if err != nil {
		return err
	}
	defer proxy.Close()
	pool, err := cms.New(cms.Config{
		Store: store, Balancer: proxy, Tick: 200 * time.Millisecond,
		Hosts: []pod.Host{{Name: "here", Runtime: "process"}},
		OpenRuntime: func(_ context.Context, _ pod.Host, c pod.Cluster) (pod.Runtime, error) {
			return process.New(process.Config{Cluster: c, Dir: filepath.Join(dir, "nodes"), Supervisor: []string{self, "supervise"}})
		},
	})
	if err != nil {
		return err
	}
	manage, stop := context.WithCancel(context.WithoutCancel(ctx))
	managed := make(chan error, 1)
	go func() { managed <- pool.Run(manage) }()
	select {
	case err := <-managed:
		stop()
		return err
	case <-pool.Ready():
	}
	err = fill(ctx, pool, self, front)
	if err == nil {
		use(pool)
	}
	end, cancel := context.WithTimeout(manage, time.Minute)
	defer cancel()
	if haltErr := pool.Halt(end); err == nil {
		err = haltErr
	}
	stop()
	<-managed
	return err
}

// fill makes the pool and waits for its first worker.
func fill(ctx context.Context, m *cms.Manager, self, front string) error {
	_, err := m.Pod("pool")
	if err != nil {
		_, err = m.CreatePod(ctx, cms.PodSpec{
			Spec: pod.Spec{Name: "pool", Workload: pod.Workload{
				Command: []string{self, "worker"}, Ports: map[string]int{"http": 8080}, Probe: pod.Probe{Path: "/"},
			}},
			Fronts: []cms.Front{{Front: balancer.Front{Listen: front}}},
		})
	}
	if err == nil {
		_, err = m.SetElasticity(ctx, "pool", cms.Elasticity{
			Enabled: true, Min: 1, Max: 4, Mode: cms.ModeAct,
			Policy: json.RawMessage(`{"kind":"target","metric":"in_flight","value":2}`),
		})
	}
	if err == nil {
		_, err = m.WaitPod(ctx, "pool", func(s cms.PodStatus) bool { return s.Converged && s.Want > 0 })
	}
	return err
}

// child is what the process runtime starts.
func child(mode string, args []string) int {
	switch mode {
	case "supervise":
		return process.Supervise(args)
	case "worker":
		http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
			if d, err := time.ParseDuration(r.FormValue("for")); err == nil {
				time.Sleep(d) // work
			}
			fmt.Fprintln(w, os.Getenv("ELASTIPOD_NODE"))
		})
		fmt.Fprintln(os.Stderr, http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
		return 1
	}
	fmt.Fprintln(os.Stderr, "usage: embed")
	return 2
}
