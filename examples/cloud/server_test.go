package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/inproc"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/api"
	"github.com/elastipod/elastipod/cms/cmstest"
	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/podtest"
)

const (
	operatorToken = "operator-token-0123456789"
	viewerToken   = "viewer-token-0123456789"
)

// testServer is a real manager behind the real API, on fake hosts whose nodes
// answer requests, with the in-process balancer.
type testServer struct {
	*httptest.Server
	manager *cms.Manager
	hosts   map[string]*podtest.FakeHost
	front   string // an address that is free
	close   func()
	differs atomic.Value // string: what the configuration's file differs in

	ctx     context.Context // ends with the server
	running sync.WaitGroup
}

// load keeps the CPU use of a pod's nodes, also of those to come.
func (s *testServer) load(podName string, cores float64) {
	s.running.Go(func() {
		for tick := time.NewTicker(10 * time.Millisecond); ; {
			for _, h := range s.hosts {
				for _, n := range h.Nodes() {
					if n.ID.Pod == podName {
						h.SetUsage(n.ID, cores, 1<<20)
					}
				}
			}
			select {
			case <-tick.C:
			case <-s.ctx.Done():
				tick.Stop()
				return
			}
		}
	})
}

// reload is what a server with a configuration file would answer.
func (s *testServer) reload(_ context.Context, dryRun bool) (wire.Reload, error) {
	r := wire.Reload{DryRun: dryRun}
	switch s.differs.Load() {
	case "level":
		r.Changed = []wire.ReloadChange{
			{Path: "log.level", From: "info", To: "debug", Applied: true},
			{Path: "tokens[ops]", From: "(secret)", To: "(secret)", Note: "it is the same"},
		}
	case "address":
		r.NeedsRestart = []wire.ReloadChange{{Path: "listen", From: "127.0.0.1:1", To: "127.0.0.1:2", Note: "restart the server"}}
	case "faults":
		var f cms.Faults
		f.Add("log.level", `use "info" or "debug"`, `server.yaml:3:8: "loud" is unknown`)
		return r, f
	}
	return r, nil
}

func startServer(withTokens, secure bool) (*testServer, error) {
	s := &testServer{hosts: map[string]*podtest.FakeHost{"local": newHost(), "rack2": newHost()}}
	proxy, err := inproc.New(inproc.Config{})
	if err != nil {
		return nil, err
	}
	store := cmstest.NewStore()
	if s.front, err = freeAddress(); err != nil {
		return nil, err
	}
	frontOf := func(name string) cms.Front {
		addr, ferr := freeAddress()
		err = errors.Join(err, ferr)
		return cms.Front{Front: balancer.Front{Name: name, Listen: addr}}
	}
	var defaults []cms.PodSpec
	for _, name := range []string{"light", "medium", "heavy"} {
		defaults = append(defaults, cms.PodSpec{
			Spec: pod.Spec{
				Name: name, MaxNodes: 6, Limits: pod.Limits{CPU: 0.1, Memory: 10 << 20}, Drain: time.Second, Grace: time.Second,
				Workload: pod.Workload{Command: []string{"/workload", name}, Ports: map[string]int{"http": 8080}},
			},
			Fronts: []cms.Front{frontOf(name)},
		})
	}
	if err != nil {
		return nil, err
	}
	s.manager, err = cms.New(cms.Config{
		Store: store, Balancer: proxy, DefaultPods: defaults, Tick: 50 * time.Millisecond,
		Hosts: []pod.Host{{Name: "local", Runtime: "process"}},
		OpenRuntime: func(_ context.Context, h pod.Host, c pod.Cluster) (pod.Runtime, error) {
			host, ok := s.hosts[h.Name]
			if !ok {
				return nil, fmt.Errorf("open host %s: %w", h.Name, pod.ErrUnreachable)
			}
			return host.Open(c), nil
		},
	})
	if err != nil {
		return nil, err
	}
	config := api.Config{Manager: s.manager, Version: "v1.2.3", Heartbeat: time.Second, Reload: s.reload}
	if withTokens {
		config.Tokens = []api.Token{{Name: "op", Role: api.Operator, Secret: operatorToken}, {Name: "eve", Role: api.Viewer, Secret: viewerToken}}
	}
	a, err := api.New(config)
	if err != nil {
		return nil, err
	}
	s.Server = httptest.NewUnstartedServer(a.Handler())
	a.Bound(s.Config)
	if secure {
		s.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that fail on purpose
		s.StartTLS()
	} else {
		s.Start()
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.ctx = ctx
	var ran error
	s.running.Go(func() { ran = s.manager.Run(ctx) })
	s.close = sync.OnceFunc(func() {
		haltCtx, stop := context.WithTimeout(ctx, 10*time.Second)
		defer stop()
		halted := s.manager.Halt(haltCtx)
		_ = a.Close()
		s.Server.Close()
		cancel()
		s.running.Wait()
		if err := errors.Join(halted, ran, proxy.Close(), store.Close()); err != nil {
			panic(err) // scripts have nowhere to put it
		}
	})
	<-s.manager.Ready()
	return s, nil
}

// newHost returns a host whose nodes answer requests over HTTP.
func newHost() *podtest.FakeHost {
	h := podtest.NewFakeHost()
	h.Endpoint = func(pod.NodeID, string) string {
		addr, err := freeAddress()
		if err != nil {
			panic(err)
		}
		return addr
	}
	h.Program = serveNode
	h.SetStartDelay(20 * time.Millisecond)
	return h
}

// serveNode is what a node runs.
func serveNode(p podtest.FakeProcess) pod.Exit {
	name := p.Env["ELASTIPOD_NODE"]
	if strings.HasPrefix(name, "broken") || p.Env["BROKEN"] != "" {
		fmt.Fprintln(p.Out, "no such table: users")
		return pod.Exit{Code: 3, At: time.Now()}
	}
	l, err := net.Listen("tcp", p.Endpoints["http"])
	if err != nil {
		fmt.Fprintln(p.Out, err)
		return pod.Exit{Code: 1, At: time.Now()}
	}
	fmt.Fprintf(p.Out, "%s: listening\n", name)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", r.Header.Get("X-Request-Id"))
		w.Header().Set("X-Node", name)
		switch r.URL.Path {
		case "/fail":
			w.WriteHeader(http.StatusInternalServerError)
		case "/slow":
			time.Sleep(300 * time.Millisecond)
		}
		fmt.Fprintf(w, "%s %s by %s\n", r.Method, r.URL, name)
	})}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(l)
	}()
	select {
	case <-p.Term:
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_ = srv.Shutdown(ctx)
	case <-p.Kill:
		_ = srv.Close()
	}
	<-served
	fmt.Fprintf(p.Out, "%s: bye\n", name)
	return pod.Exit{At: time.Now()}
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
