// Command embed is a program with an elastic pool of worker processes inside:
// run starts it. The workers are this program again, started as "embed worker".
package main

import (
	"context"
	"errors"
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
	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/process"
)

func main() {
	if len(os.Args) > 1 {
		os.Exit(child(os.Args[1], os.Args[2:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dir, err := os.MkdirTemp("", "embed")
	if err != nil {
		fmt.Fprintln(os.Stderr, "embed:", err)
		os.Exit(1)
	}
	defer os.RemoveAll(dir)
	err = run(ctx, dir, "127.0.0.1:5080", func(m *cms.Manager) {
		fmt.Println("http://127.0.0.1:5080 is answered by 1 to 4 processes; Ctrl-C ends them")
		<-ctx.Done()
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "embed:", err)
		os.Exit(1)
	}
}

// run keeps an elastic pool of one to four workers behind a front, one for every
// two requests in flight, while use runs. This is all that a program needs.
func run(ctx context.Context, dir, front string, use func(*cms.Manager)) (err error) {
	defer caught(&err)
	self := must(os.Executable())
	// region: pool
	store := must(boltstore.Open(filepath.Join(dir, "pool.db")))
	defer store.Close()
	proxy := must(inproc.New(inproc.Config{}))
	defer proxy.Close()
	m := must(cms.New(cms.Config{
		Store: store, Balancer: proxy, Tick: 200 * time.Millisecond,
		Hosts: []pod.Host{{Name: "here", Runtime: "process"}},
		OpenRuntime: func(_ context.Context, _ pod.Host, c pod.Cluster) (pod.Runtime, error) {
			return process.New(process.Config{Cluster: c, Dir: filepath.Join(dir, "nodes"), Supervisor: []string{self, "supervise"}})
		},
	}))
	defer start(m)()
	if _, err := m.Pod("pool"); errors.Is(err, cms.ErrNotFound) {
		must(m.CreatePod(ctx, cms.PodSpec{
			Spec: pod.Spec{Name: "pool", Workload: pod.Workload{
				Command: []string{self, "worker"}, Ports: map[string]int{"http": 8080}, Probe: pod.Probe{Path: "/"},
			}},
			Fronts: []cms.Front{{Front: balancer.Front{Listen: front}}},
		}))
	}
	must(m.SetElasticity(ctx, "pool", cms.Elasticity{Enabled: true, Min: 1, Max: 4,
		Policy: elastic.Target{Metric: elastic.MetricInFlight, Value: 2}}))
	must(m.WaitPod(ctx, "pool", func(s cms.PodStatus) bool { return s.Converged && s.Want > 0 }))
	// end
	use(m)
	return nil
}

// start runs the manager; what it returns stops the workers, then the manager.
func start(m *cms.Manager) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	select {
	case err := <-ended:
		cancel()
		panic(failure{err})
	case <-m.Ready():
	}
	return func() {
		halting, done := context.WithTimeout(ctx, time.Minute)
		defer done()
		err := m.Halt(halting)
		cancel()
		if err = errors.Join(err, <-ended); err != nil {
			fmt.Fprintln(os.Stderr, "embed:", err)
		}
	}
}

// failure is an error on its way to the end of run.
type failure struct{ error }

// must returns v, or ends run with err.
func must[T any](v T, err error) T {
	if err != nil {
		panic(failure{err})
	}
	return v
}

func caught(err *error) {
	switch p := recover().(type) {
	case nil:
	case failure:
		*err = p.error
	default:
		panic(p)
	}
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
