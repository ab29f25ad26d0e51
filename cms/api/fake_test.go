package api_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/metrics"
	"github.com/elastipod/elastipod/pod"
)

// fake is a scripted manager: what is created is there, nothing else happens.
type fake struct {
	hostsStay bool // those that are being removed
	mu        sync.Mutex
	ready     chan struct{}
	pods      map[string]*cms.PodStatus
	hosts     map[string]*cms.HostStatus
	events    []cms.Event
	logs      func(ctx context.Context) (io.ReadCloser, error)
	fail      map[string]error // by method
	calls     []string         // of methods that change something
	policies  *elastic.Registry
	changed   chan struct{} // closed and replaced at each change
}

var at = time.Date(2026, 11, 5, 10, 0, 0, 0, time.UTC)

func newFake() *fake {
	f := &fake{
		ready: make(chan struct{}), pods: map[string]*cms.PodStatus{}, hosts: map[string]*cms.HostStatus{},
		fail: map[string]error{}, policies: elastic.NewRegistry(), changed: make(chan struct{}),
		logs: func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader("one\ntwo\n")), nil
		},
	}
	close(f.ready)
	f.hosts["local"] = &cms.HostStatus{
		Host: pod.Host{Name: "local", Runtime: "process"}.WithDefaults(), Reachable: true, Since: at,
		Capacity: pod.Resources{CPU: 2, Memory: 4 << 30}, Engine: "processes",
		Used: pod.HostUsage{CPU: new(0.5)},
	}
	f.add(cms.PodSpec{
		Spec: pod.Spec{
			Name: "web", MaxNodes: 15, Limits: pod.Limits{CPU: 0.5, Memory: 300 << 20},
			Workload: pod.Workload{
				Image: "nginx:1.27", Ports: map[string]int{"http": 8080}, Env: map[string]string{"MODE": "test"},
				Probe:   pod.Probe{Path: "/healthz"},
				Secrets: []pod.Secret{{Name: "key", FromEnv: "WEB_KEY"}},
			},
		},
		Fronts: []cms.Front{{Front: balancer.Front{Listen: "127.0.0.1:5100"}}},
	})
	web := f.pods["web"]
	tick := cms.Tick{Seq: 7, At: at, Before: 3, Observation: elastic.Observation{At: at, Want: 3, Online: 2, CPU: metrics.V(0.91)}, Took: time.Millisecond}
	tick.Decision.Add(elastic.Step{Rule: elastic.RuleAboveUpper, From: 3, To: 4, Metric: "CPU", Value: 0.91, Bound: 0.7})
	tick.Sample = metrics.Sample{At: at, Want: 4, Nodes: metrics.Nodes{Online: 2, New: 1}, CPU: metrics.V(0.91)}
	web.LastTick, web.LastChange, web.Sample, web.Want = &tick, &tick, tick.Sample, 4
	web.Counts.Nodes = tick.Sample.Nodes
	for i, s := range []pod.State{pod.StateOnline, pod.StateOnline, pod.StateNew} {
		n := cms.NodeStatus{
			Name: fmt.Sprintf("web-%d", i+1), Pod: "web", Host: "local", State: s, CreatedAt: at.Add(time.Duration(i) * time.Second),
			Revision: 2, Endpoints: map[string]string{"http": "127.0.0.1:1234"}, CPU: metrics.V(0.9), Reason: "ready",
		}
		if s == pod.StateOnline {
			n.StartedAt, n.ReadyAt = n.CreatedAt.Add(time.Second), n.CreatedAt.Add(2*time.Second)
		}
		web.Nodes = append(web.Nodes, n)
	}
	web.Revisions = []cms.RevisionRecord{
		{Number: 1, At: at, Workload: web.Spec.Workload, Limits: web.Spec.Limits, Reason: "created"},
		{Number: 2, At: at, Workload: web.Spec.Workload, Limits: web.Spec.Limits, Digest: "sha256:" + strings.Repeat("ab", 32), Resolved: true, Reason: "changed by hand"},
	}
	web.Rollout = &cms.RolloutStatus{
		RolloutRecord: cms.RolloutRecord{From: 1, To: 2, State: cms.RolloutProgressing, Reason: "changed by hand", StartedAt: at, EndedAt: at},
		Strategy:      cms.Canary, Steps: 2, Fresh: 2, Ready: 1, Old: 1,
	}
	return f
}

func (f *fake) add(s cms.PodSpec) *cms.PodStatus {
	p := &cms.PodStatus{
		Spec: s.WithDefaults(), Elasticity: cms.Elasticity{}.WithDefaults(s.WithDefaults().MaxNodes), State: cms.PodActive,
		CreatedAt: at, Revision: 2, Converged: true, LastTick: &cms.Tick{}, LastChange: &cms.Tick{},
	}
	f.pods[s.Name] = p
	return p
}

func refuse(kind error, format string, args ...any) error {
	return &cms.Refusal{Kind: kind, Text: fmt.Sprintf(format, args...)}
}

// begin locks the fake for a call that changes something.
func (f *fake) begin(method string, args ...any) (func(), error) {
	f.mu.Lock()
	if err := f.fail[method]; err != nil {
		defer f.mu.Unlock()
		return nil, err
	}
	f.calls = append(f.calls, strings.TrimSpace(fmt.Sprintln(append([]any{method}, args...)...)))
	return func() {
		close(f.changed)
		f.changed = make(chan struct{})
		f.mu.Unlock()
	}, nil
}

func (f *fake) Backup(_ context.Context, w io.Writer) error {
	done, err := f.begin("Backup")
	if err != nil {
		return err
	}
	defer done()
	_, err = io.WriteString(w, "the backup")
	return err
}

func (f *fake) Restore(_ context.Context, r io.Reader, o cms.RestoreOptions) (cms.Restored, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return cms.Restored{}, fmt.Errorf("read a backup: %w", err)
	}
	done, err := f.begin("Restore", string(data), o.DryRun, o.AnyCluster)
	if err != nil {
		return cms.Restored{}, err
	}
	defer done()
	return cms.Restored{Kept: "store.before", Created: []string{"api"}, Problems: []string{"host far: does not answer"}}, nil
}

// change does something to a pod from outside, as the loop would.
func (f *fake) change(name string, do func(*cms.PodStatus)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do(f.pods[name])
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fake) find(name string) (*cms.PodStatus, error) {
	if p, ok := f.pods[name]; ok {
		return p, nil
	}
	return nil, refuse(cms.ErrNotFound, "there is no pod %s", name)
}

// onPod makes a call that changes one pod.
func (f *fake) onPod(method, name string, do func(*cms.PodStatus) error) (cms.PodStatus, error) {
	end, err := f.begin(method, name)
	if err != nil {
		return cms.PodStatus{}, err
	}
	defer end()
	p, err := f.find(name)
	if err != nil {
		return cms.PodStatus{}, err
	}
	if err := do(p); err != nil {
		return cms.PodStatus{}, err
	}
	return copyOf(p), nil
}

func copyOf(p *cms.PodStatus) cms.PodStatus {
	c := *p
	c.Nodes = slices.Clone(p.Nodes)
	return c
}

func (f *fake) Ready() <-chan struct{}      { return f.ready }
func (f *fake) Policies() *elastic.Registry { return f.policies }
func (f *fake) Cluster() cms.ClusterStatus {
	return cms.ClusterStatus{Name: "test", ID: "id", StartedAt: at, Pods: len(f.pods), Nodes: 3, Hosts: len(f.hosts)}
}

func (f *fake) Init(context.Context) ([]cms.PodStatus, error) {
	end, err := f.begin("Init")
	if err != nil {
		return nil, err
	}
	defer end()
	p := f.add(cms.PodSpec{Spec: pod.Spec{Name: "light", Workload: pod.Workload{Command: []string{"true"}}}})
	return []cms.PodStatus{copyOf(p)}, nil
}

func (f *fake) Pods() []cms.PodStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []cms.PodStatus
	for _, p := range f.pods {
		all = append(all, copyOf(p))
	}
	slices.SortFunc(all, func(a, b cms.PodStatus) int { return strings.Compare(a.Spec.Name, b.Spec.Name) })
	return all
}

func (f *fake) Pod(name string) (cms.PodStatus, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, err := f.find(name)
	if err != nil {
		return cms.PodStatus{}, err
	}
	return copyOf(p), nil
}

func (f *fake) CreatePod(_ context.Context, s cms.PodSpec) (cms.PodStatus, error) {
	end, err := f.begin("CreatePod", s.Name)
	if err != nil {
		return cms.PodStatus{}, err
	}
	defer end()
	if f.pods[s.Name] != nil {
		return cms.PodStatus{}, refuse(cms.ErrExists, "pod %s exists already; choose another name", s.Name)
	}
	return copyOf(f.add(s)), nil
}

func (f *fake) UpdatePod(_ context.Context, s cms.PodSpec) (cms.PodStatus, error) {
	return f.onPod("UpdatePod", s.Name, func(p *cms.PodStatus) error {
		p.Spec = s.WithDefaults()
		p.Converged = false
		return nil
	})
}

func (f *fake) DeletePod(_ context.Context, name string) (cms.PodStatus, error) {
	return f.onPod("DeletePod", name, func(p *cms.PodStatus) error {
		p.State = cms.PodDeleting
		return nil
	})
}

func (f *fake) RestartPod(_ context.Context, name string) (cms.PodStatus, error) {
	return f.onPod("RestartPod", name, func(p *cms.PodStatus) error {
		p.Revision++
		p.Converged = false
		return nil
	})
}

func (f *fake) Pause(_ context.Context, name string) (cms.PodStatus, error) {
	return f.onPod("Pause", name, func(p *cms.PodStatus) error {
		p.State, p.Converged = cms.PodPaused, false
		return nil
	})
}

func (f *fake) Resume(_ context.Context, name string) (cms.PodStatus, error) {
	return f.onPod("Resume", name, func(p *cms.PodStatus) error {
		p.State, p.Converged = cms.PodActive, true
		return nil
	})
}

func (f *fake) PauseRollout(_ context.Context, name string) (cms.PodStatus, error) {
	return f.onRollout("PauseRollout", name, cms.RolloutPaused)
}

func (f *fake) ResumeRollout(_ context.Context, name string) (cms.PodStatus, error) {
	return f.onRollout("ResumeRollout", name, cms.RolloutProgressing)
}

func (f *fake) UndoRollout(_ context.Context, name string, number uint64) (cms.PodStatus, error) {
	if number > 2 {
		return cms.PodStatus{}, refuse(cms.ErrConflict, "revision %d of pod %s is not kept", number, name)
	}
	return f.onRollout(fmt.Sprintf("UndoRollout %d", number), name, cms.RolloutRolledBack)
}

func (f *fake) onRollout(call, name string, state cms.RolloutState) (cms.PodStatus, error) {
	return f.onPod(call, name, func(p *cms.PodStatus) error {
		if p.Rollout == nil {
			return refuse(cms.ErrConflict, "pod %s has no rollout under way", name)
		}
		r := *p.Rollout
		r.State, p.Rollout = state, &r
		p.Converged = state == cms.RolloutRolledBack
		return nil
	})
}

func (f *fake) SetElasticity(_ context.Context, name string, e cms.Elasticity) (cms.PodStatus, error) {
	return f.onPod("SetElasticity", name, func(p *cms.PodStatus) error {
		p.Elasticity = e
		return nil
	})
}

func (f *fake) Launch(_ context.Context, name string) (n cms.NodeStatus, err error) {
	_, err = f.onPod("Launch", name, func(p *cms.PodStatus) error {
		for i := range p.Nodes {
			if p.Nodes[i].State == pod.StateNew {
				p.Nodes[i].State = pod.StateStarting
				n = p.Nodes[i]
				return nil
			}
		}
		return refuse(cms.ErrConflict, "pod %s has no new node; register one first", name)
	})
	return n, err
}

func (f *fake) RegisterNode(_ context.Context, name, node string) (n cms.NodeStatus, err error) {
	_, err = f.onPod("RegisterNode", name, func(p *cms.PodStatus) error {
		if node == "" {
			node = fmt.Sprintf("%s-%d", name, len(p.Nodes)+1)
		}
		for _, there := range p.Nodes {
			if there.Name == node {
				return refuse(cms.ErrExists, "pod %s has a node %s already; choose another name", name, node)
			}
		}
		n = cms.NodeStatus{Name: node, Pod: name, State: pod.StateNew, CreatedAt: at.Add(time.Hour), Revision: 2}
		p.Nodes = append(p.Nodes, n)
		return nil
	})
	return n, err
}

func (f *fake) RemoveNode(_ context.Context, name, node string) (n cms.NodeStatus, err error) {
	_, err = f.onPod("RemoveNode", name, func(p *cms.PodStatus) error {
		for i := range p.Nodes {
			if p.Nodes[i].Name == node {
				p.Nodes[i].State = pod.StateDraining
				n = p.Nodes[i]
				return nil
			}
		}
		return refuse(cms.ErrNotFound, "pod %s has no node %s", name, node)
	})
	return n, err
}

func (f *fake) Node(name, node string) (cms.NodeStatus, error) {
	p, err := f.Pod(name)
	if err != nil {
		return cms.NodeStatus{}, err
	}
	for _, n := range p.Nodes {
		if n.Name == node {
			return n, nil
		}
	}
	return cms.NodeStatus{}, refuse(cms.ErrNotFound, "pod %s has no node %s", name, node)
}

func (f *fake) WaitPod(ctx context.Context, name string, done func(cms.PodStatus) bool) (cms.PodStatus, error) {
	for {
		f.mu.Lock()
		changed := f.changed
		f.mu.Unlock()
		p, err := f.Pod(name)
		if err != nil || done(p) {
			return p, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return p, ctx.Err()
		}
	}
}

func (f *fake) Logs(ctx context.Context, name, node string, _ pod.LogOptions) (io.ReadCloser, error) {
	if _, err := f.Node(name, node); err != nil {
		return nil, err
	}
	return f.logs(ctx)
}

func (f *fake) Ticks(name string, limit int) ([]cms.Tick, error) {
	p, err := f.Pod(name)
	if err != nil || p.LastTick.Seq == 0 {
		return nil, err
	}
	return []cms.Tick{*p.LastTick}[:min(limit, 1)], nil
}

func (f *fake) Samples(name string, since time.Time) ([]metrics.Sample, error) {
	p, err := f.Pod(name)
	if err != nil || !p.Sample.At.After(since) {
		return nil, err
	}
	return []metrics.Sample{p.Sample}, nil
}

func (f *fake) Balancer() cms.BalancerStatus {
	return cms.BalancerStatus{At: at, Pods: map[string]string{"web": "web"}, Stats: balancer.Stats{Fronts: []balancer.FrontStats{{
		Name: "web", Listen: "127.0.0.1:5100", Requests: 10, InFlight: 1,
		Latency: balancer.Latency{Count: 5, P50: time.Millisecond, P95: 2 * time.Millisecond, P99: 3 * time.Millisecond},
		Servers: []balancer.ServerStats{{Name: "web-1", Addr: "127.0.0.1:1234", State: balancer.Ready, Weight: 100, Up: true}},
	}}}}
}

func (f *fake) NextEvent() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return uint64(len(f.events)) + 1
}

func (f *fake) Subscribe(uint64, int) *cms.Subscription {
	panic("tests set their own stream")
}

// stream hands out the events that are sent to it.
type stream struct {
	events chan cms.Event
	end    chan error
	closed chan struct{}
	once   sync.Once
}

func newStream(past ...cms.Event) *stream {
	s := &stream{events: make(chan cms.Event, 100), end: make(chan error, 1), closed: make(chan struct{})}
	for _, e := range past {
		s.events <- e
	}
	return s
}

func (s *stream) Next(ctx context.Context) (cms.Event, error) {
	select {
	case e := <-s.events:
		return e, nil
	default:
	}
	select {
	case e := <-s.events:
		return e, nil
	case err := <-s.end:
		return cms.Event{}, err
	case <-ctx.Done():
		return cms.Event{}, ctx.Err()
	}
}

func (s *stream) Close() { s.once.Do(func() { close(s.closed) }) }

func (f *fake) Hosts() []cms.HostStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []cms.HostStatus
	for _, h := range f.hosts {
		all = append(all, *h)
	}
	return all
}

func (f *fake) Host(name string) (cms.HostStatus, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if h, ok := f.hosts[name]; ok {
		return *h, nil
	}
	return cms.HostStatus{}, refuse(cms.ErrNotFound, "there is no host %s", name)
}

func (f *fake) AddHost(_ context.Context, h pod.Host) (cms.HostStatus, error) {
	end, err := f.begin("AddHost", h.Name)
	if err != nil {
		return cms.HostStatus{}, err
	}
	defer end()
	if f.hosts[h.Name] != nil {
		return cms.HostStatus{}, refuse(cms.ErrExists, "host %s exists already; choose another name", h.Name)
	}
	f.hosts[h.Name] = &cms.HostStatus{Host: h.WithDefaults()}
	return *f.hosts[h.Name], nil
}

func (f *fake) CordonHost(_ context.Context, name string, cordoned bool) (cms.HostStatus, error) {
	end, err := f.begin("CordonHost", name, cordoned)
	if err != nil {
		return cms.HostStatus{}, err
	}
	defer end()
	f.hosts[name].Host.Cordoned = cordoned
	return *f.hosts[name], nil
}

func (f *fake) RemoveHost(_ context.Context, name string, drain bool) (cms.HostStatus, error) {
	end, err := f.begin("RemoveHost", name, drain)
	if err != nil {
		return cms.HostStatus{}, err
	}
	defer end()
	h, ok := f.hosts[name]
	if !ok {
		return cms.HostStatus{}, refuse(cms.ErrNotFound, "there is no host %s", name)
	}
	if !f.hostsStay {
		delete(f.hosts, name)
	}
	return *h, nil
}

var errBroken = errors.New("the disk is full")
