package cms_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/balancertest"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/cmstest"
	"github.com/elastipod/elastipod/internal/invariant"
	"github.com/elastipod/elastipod/internal/invariant/fakes"
	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/podtest"
)

// TestModel does random things to a cluster, breaks it in random ways, restarts
// its manager at random moments; then it mends everything, waits, and checks
// that what is stored, shown, placed, running and served is one and the same.
// Each turn of each pod is written down, read back and made again, which must come
// to the same plan. A failure prints its seed: repeat it with -rapid.seed.
func TestModel(t *testing.T) {
	begun, histories, turns := time.Now(), 0, 0
	var simulated time.Duration
	defer func() {
		took := time.Since(begun)
		t.Logf("%d histories of %.1f hours and %d turns together in %s: %.1f hours a second", histories, simulated.Hours(), turns, took.Round(time.Millisecond), simulated.Hours()/took.Seconds())
	}()
	rapid.Check(t, func(r *rapid.T) {
		seen := &model{r: r}
		steps := rapid.SliceOfN(rapid.Custom(drawStep), 1, 60).Draw(r, "steps")
		synctest.Test(t, func(t *testing.T) {
			seen.t = t
			start := time.Now()
			seen.run(steps)
			simulated += time.Since(start)
		})
		histories++
		turns += seen.replayed.turns
		if err := seen.replayed.err; err != nil {
			r.Fatalf("%v", err)
		}
		if seen.fault != "" {
			r.Fatalf("%s\n%s", seen.fault, strings.Join(seen.log, "\n"))
		}
	})
}

// step is one thing that happens; what a, b and c mean depends on it.
type step struct {
	op      string
	a, b, c int
	pause   time.Duration // after it
}

func (s step) String() string { return fmt.Sprintf("%s %d %d %d, %s", s.op, s.a, s.b, s.c, s.pause) }

var modelOps = []string{
	"create", "create", "update", "revise", "revise", "rollpause", "rollresume", "undo", "sick", "well", "delete", "register", "launch", "launch", "remove", "pause", "resume",
	"elastic", "elastic", "manual", "addhost", "cordon", "removehost",
	"exit", "vanish", "failstarts", "unreachable", "slow", "balancer", "slowbalancer", "store", "slowstore", "restart", "restart",
	"load", "load", "inflight", "idle", "lostfront", "occupied", "mend",
	"away", "hang", "unhang", "badstart", "badobserve", "badprepare", "watch", "hangbalancer", "flakystore", "clock", "policy", "image", "image", "crash", "crash",
}

func drawStep(r *rapid.T) step {
	return step{
		op: rapid.SampledFrom(modelOps).Draw(r, "op"),
		a:  rapid.IntRange(0, 9).Draw(r, "a"), b: rapid.IntRange(0, 9).Draw(r, "b"), c: rapid.IntRange(0, 9).Draw(r, "c"),
		pause: rapid.SampledFrom([]time.Duration{0, time.Millisecond, 70 * time.Millisecond, 500 * time.Millisecond, 3 * time.Second, 20 * time.Second, 2 * time.Minute}).Draw(r, "pause"),
	}
}

var (
	modelPods  = []string{"p0", "p1", "p2"}
	modelHosts = []string{"a", "b", "c"}
)

type model struct {
	r     *rapid.T
	t     *testing.T
	w     *world
	log   []string
	fault string
	// mayCut says that a node may have ended with requests: it died, or its
	// deadline passed.
	mayCut bool
	gate   *gate        // of the manager that runs now
	jump   atomic.Int64 // of the wall clock, a time.Duration
	// there holds the pods whose creation was acknowledged and whose deletion
	// was not asked for.
	there    map[string]bool
	replayed replayer
}

func (m *model) failf(format string, args ...any) {
	if m.fault == "" {
		m.fault = fmt.Sprintf(format, args...)
	}
}

func (m *model) run(steps []step) {
	w := &world{t: m.t, hosts: map[string]*podtest.FakeHost{}, balancer: balancertest.NewFake(), store: cmstest.NewStore()}
	m.w = w
	for _, name := range modelHosts {
		h := podtest.NewFakeHost()
		h.Capacity = pod.Resources{CPU: 1, Memory: 1 << 30}
		h.SetStartDelay(100 * time.Millisecond)
		w.hosts[name] = h
	}
	w.config.Hosts = []pod.Host{{Name: "a", Runtime: "fake"}}
	m.there = map[string]bool{}
	w.config.Wall = func() time.Time { return time.Now().Add(time.Duration(m.jump.Load())) }
	end, ended := context.WithCancel(context.Background())
	w.turned = m.replayed.turn
	w.before = func(c *cms.Config) {
		g := newGate(end)
		m.gate = g
		c.Balancer = gatedBalancer{w.balancer, g}
		c.OpenRuntime = func(_ context.Context, h pod.Host, cl pod.Cluster) (pod.Runtime, error) {
			return gatedRuntime{w.hosts[h.Name].Open(cl), g, h.Name}, nil
		}
	}
	w.start()
	defer func() {
		w.end()
		ended()
	}()
	for _, s := range steps {
		err := m.do(s)
		m.log = append(m.log, fmt.Sprintf("%v: %v", s, err))
		time.Sleep(s.pause)
	}
	m.mend()
	m.settle()
	m.check()
	m.checkImages()
	m.checkIdle()
}

func modelSpec(name string, a, b, c int) cms.PodSpec {
	s := spec()
	s.Name = name
	s.MaxNodes = 3 + a%4
	s.Workload.Env = map[string]string{"VERSION": fmt.Sprint(b % 2)}
	s.Drain, s.Grace = 15*time.Second, 2*time.Second
	front := s.Fronts[0]
	s.Fronts = nil
	index := slices.Index(modelPods, name)
	for i := range c % 3 {
		front.Name, front.Listen = fmt.Sprintf("%s-%d", name, i), fmt.Sprintf("127.0.0.1:%d", 6000+10*index+i+3*(b%2))
		if c == 5 { // a name and an address that another pod may have
			front.Name, front.Listen = fmt.Sprintf("shared-%d", i), fmt.Sprintf("127.0.0.1:%d", 6900+i)
		}
		s.Fronts = append(s.Fronts, front)
	}
	if a > 7 {
		s.Hosts = []string{"a"}
	}
	switch c % 4 {
	case 1:
		s.Update = cms.Update{Strategy: cms.BlueGreen, MinReady: time.Second}
	case 2:
		s.Update = cms.Update{Strategy: cms.Canary, Steps: []cms.CanaryStep{{Weight: 20, Pause: 5 * time.Second}, {Weight: 60, Pause: time.Second}}}
	case 3:
		s.Update = cms.Update{MaxSurge: -1, MaxUnavailable: 2}
	}
	if index == 2 {
		s.Workload.Command, s.Workload.Image = nil, "p2"
		s.Workload.Probe = pod.Probe{Kind: pod.ProbeHealthcheck, StartDeadline: 10 * time.Second}
	}
	return s
}

// do does a step. Commands may well be refused; only the end counts.
func (m *model) do(s step) error {
	w, ctx := m.w, m.t.Context()
	name, hostName := modelPods[s.a%3], modelHosts[s.a%3]
	h := w.hosts[hostName]
	cctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var err error
	switch s.op {
	case "create":
		if _, err = w.CreatePod(cctx, modelSpec(name, s.b, s.c, s.b+s.c)); err == nil {
			m.there[name] = true
		}
	case "update":
		_, err = w.UpdatePod(cctx, modelSpec(name, s.b, s.c, s.b+s.c))
	case "revise":
		var p cms.PodStatus
		if p, err = w.Pod(name); err == nil {
			next := p.Spec.Clone()
			next.Workload.Env = map[string]string{"VERSION": fmt.Sprint(s.b)}
			_, err = w.UpdatePod(cctx, next)
		}
	case "rollpause":
		_, err = w.PauseRollout(cctx, name)
	case "rollresume":
		_, err = w.ResumeRollout(cctx, name)
	case "undo":
		_, err = w.UndoRollout(cctx, name, uint64(s.b/2))
	case "sick":
		h.SetNewHealth([]pod.Health{pod.HealthGood, pod.HealthUnknown, pod.HealthUnhealthy}[s.c%3])
		if nodes := h.Nodes(); len(nodes) > 0 {
			h.SetHealth(pod.HealthUnhealthy, nodes[s.b%len(nodes)].ID)
		}
	case "well":
		m.well(h)
	case "delete":
		if s.b < 4 {
			delete(m.there, name)
			_, err = w.DeletePod(cctx, name)
		}
	case "register":
		_, err = w.RegisterNode(cctx, name, "")
	case "launch":
		for range 1 + s.b%3 {
			_, err = w.RegisterNode(cctx, name, "")
			if err == nil {
				_, err = w.Launch(cctx, name)
			}
		}
	case "remove":
		if p, e := w.Pod(name); e == nil && len(p.Nodes) > 0 {
			_, err = w.RemoveNode(cctx, name, p.Nodes[s.b%len(p.Nodes)].Name)
		}
	case "pause":
		_, err = w.Pause(cctx, name)
	case "resume":
		_, err = w.Resume(cctx, name)
	case "elastic":
		_, err = w.SetElasticity(cctx, name, cms.Elasticity{Enabled: true, Min: 1 + s.b%3, Max: 1 + s.b%3 + s.c%3, PolicyJSON: json.RawMessage(cms.DefaultPolicy)})
	case "manual":
		_, err = w.SetElasticity(cctx, name, cms.Elasticity{})
	case "addhost":
		_, err = w.AddHost(cctx, pod.Host{Name: hostName, Runtime: "fake"})
	case "cordon":
		_, err = w.CordonHost(cctx, hostName, s.b%2 == 0)
	case "removehost":
		_, err = w.RemoveHost(cctx, hostName, s.b%2 == 0)
	case "exit", "vanish":
		if nodes := h.Nodes(); len(nodes) > 0 {
			m.mayCut = true
			if n := nodes[s.b%len(nodes)]; s.op == "exit" {
				h.Exit(n.ID, pod.Exit{Code: s.c})
			} else {
				h.Vanish(n.ID)
			}
		}
	case "failstarts":
		h.FailStarts(s.b, pod.ErrImage)
	case "unreachable":
		h.SetUnreachable(s.b%2 == 0)
	case "slow":
		h.SetStartDelay(time.Duration(s.b) * 700 * time.Millisecond)
		h.SetStopDelay(time.Duration(s.c) * 700 * time.Millisecond)
	case "balancer":
		w.balancer.Fail([]balancertest.Method{balancertest.Apply, balancertest.Observe, balancertest.SetFront, balancertest.RemoveFront}[s.b%4], balancer.ErrUnavailable)
	case "slowbalancer":
		w.balancer.Delay([]balancertest.Method{balancertest.Apply, balancertest.Observe, balancertest.SetFront}[s.b%3], time.Duration(s.c)*time.Second)
	case "store":
		w.store.OnSave(func(context.Context, cms.Change) error { return errors.New("disk full") })
	case "slowstore":
		w.store.OnSave(func(context.Context, cms.Change) error {
			time.Sleep(time.Duration(s.b) * 300 * time.Millisecond)
			return nil
		})
	case "restart":
		begun := time.Now()
		w.end()
		if took := time.Since(begun); took > 45*time.Second {
			m.failf("the manager took %s to end", took)
		}
		w.restartMayFail()
	case "load":
		w.load(float64(s.b) / 9)
	case "inflight":
		for _, id := range m.served() {
			w.balancer.SetInFlight(id.Pod, id.Name, s.b%3)
		}
	case "idle":
		m.idle()
	case "lostfront":
		if p, e := w.Pod(name); e == nil && len(p.Spec.Fronts) > 0 {
			m.mayCut = true
			err = w.balancer.RemoveFront(ctx, p.Spec.Fronts[0].Name)
		}
	case "occupied":
		w.balancer.Occupy("127.0.0.1:6900", s.b%2 == 0)
	case "mend":
		m.mend()
	default:
		err = m.harm(cctx, s, name, hostName)
	}
	return err
}

// harm does the steps that break more than one thing.
func (m *model) harm(ctx context.Context, s step, name, hostName string) (err error) {
	w, h := m.w, m.w.hosts[hostName]
	switch s.op {
	case "away": // for longer than the host's timeout
		h.SetUnreachable(true)
		time.Sleep(cms.DefaultHostTimeout + time.Duration(s.b)*5*time.Second)
		h.SetUnreachable(s.c%4 == 0)
	case "hang", "unhang":
		m.gate.hang(hostName, s.op == "hang")
	case "badstart":
		h.FailStarts(s.b, []error{errors.New("input/output error"), pod.ErrExited, pod.ErrUnreachable}[s.c%3])
	case "badobserve":
		h.FailObserve([]error{errors.New("input/output error"), nil}[s.b%2])
	case "badprepare":
		h.FailPrepare([]error{errors.New("registry away"), nil}[s.b%2])
	case "watch":
		h.BreakWatch()
	case "hangbalancer":
		w.balancer.Delay([]balancertest.Method{balancertest.Apply, balancertest.Observe, balancertest.RemoveFront}[s.b%3], 10*time.Minute)
	case "flakystore":
		var n atomic.Int64
		w.store.OnSave(func(context.Context, cms.Change) error {
			if n.Add(1)%int64(2+s.b%3) == 0 {
				return errors.New("disk full")
			}
			return nil
		})
	case "clock":
		m.jump.Store(int64(s.b-4) * int64(time.Hour))
	case "policy":
		_, err = w.SetElasticity(ctx, name, cms.Elasticity{
			Enabled: true, Min: 1, Max: 1 + s.c%3, Mode: []cms.Mode{cms.ModeAct, cms.ModeDryRun, cms.ModeAct}[s.b%3],
			PolicyJSON: json.RawMessage(`{"kind":"cooldown","down":"60s","policy":{"kind":"threshold","lower":0.2,"upper":0.6}}`),
		})
	case "image":
		var p cms.PodStatus
		if p, err = w.Pod(name); err == nil {
			next := p.Spec.Clone()
			next.Workload.Image, next.Workload.Command = fmt.Sprintf("image-%d", s.b), nil
			_, err = w.UpdatePod(ctx, next)
		}
	case "crash":
		m.crash(s)
	}
	return err
}

// crash kills the manager while a command is under way, and starts another.
func (m *model) crash(s step) {
	w := m.w
	var command sync.WaitGroup
	if ops := []string{"create", "update", "revise", "delete", "launch", "remove", "undo"}; s.c < len(ops) {
		command.Go(func() { _ = m.do(step{op: ops[s.c], a: s.a, b: s.b, c: s.a}) })
	}
	time.Sleep(time.Duration(s.b*s.b) * 10 * time.Millisecond)
	close(m.gate.dead)
	w.store.OnSave(func(context.Context, cms.Change) error { return errDead })
	w.end()
	command.Wait()
	w.restartMayFail()
	for name := range m.there {
		if _, err := w.Pod(name); err != nil {
			m.failf("pod %s was made and is not there after a crash", name)
		}
	}
}

// restartMayFail starts a manager, which a broken store may refuse.
func (w *world) restartMayFail() {
	onSave := w.store
	onSave.OnSave(nil)
	w.restart()
}

// served returns every server of every front, with the front as its pod.
func (m *model) served() []pod.NodeID {
	var out []pod.NodeID
	for _, f := range m.w.balancer.Fronts() {
		for _, s := range m.w.balancer.Servers(f) {
			out = append(out, pod.NodeID{Pod: f, Name: s.Name})
		}
	}
	return out
}

func (m *model) idle() {
	for _, id := range m.served() {
		m.w.balancer.SetInFlight(id.Pod, id.Name, 0)
	}
}

// well makes all nodes of a host healthy.
func (m *model) well(h *podtest.FakeHost) {
	h.SetNewHealth(pod.HealthGood)
	for _, n := range h.Nodes() {
		h.SetHealth(pod.HealthGood, n.ID)
	}
}

// mend ends every fault.
func (m *model) mend() {
	for _, p := range m.w.Pods() {
		_, _ = m.w.ResumeRollout(m.t.Context(), p.Spec.Name) // where there is one
	}
	for name, h := range m.w.hosts {
		m.well(h)
		m.gate.hang(name, false)
		h.FailObserve(nil)
		h.FailPrepare(nil)
		h.SetUnreachable(false)
		h.FailStarts(0, nil)
		h.SetStartDelay(100 * time.Millisecond)
		h.SetStopDelay(0)
	}
	for _, method := range []balancertest.Method{balancertest.Apply, balancertest.Observe, balancertest.SetFront, balancertest.RemoveFront} {
		m.w.balancer.Fail(method, nil)
		m.w.balancer.Delay(method, 0)
	}
	m.w.balancer.Occupy("127.0.0.1:6900", false)
	m.w.store.OnSave(nil)
	m.idle()
}

// settle waits until everything has come to rest, with a load that asks for
// nothing.
func (m *model) settle() {
	for range 40 {
		m.w.load(0.5)
		time.Sleep(5 * time.Second)
	}
}

// check: everybody tells the same, and nothing was cut without a word.
func (m *model) check() {
	w := m.w
	if err := invariant.Check(fakes.World{Manager: w.Manager, Hosts: w.hosts, Balancer: w.balancer, Store: w.store}.View(true)); err != nil {
		m.failf("%v", err)
	}
	if !m.mayCut && w.balancer.Cut() > 0 && !m.cutWasTold() {
		m.failf("%d requests were cut", w.balancer.Cut())
	}
}

// cutWasTold says whether a deadline, or an update that removed a front, cut
// requests.
func (m *model) cutWasTold() bool {
	for _, l := range m.log {
		if strings.HasPrefix(l, "inflight") {
			return true
		}
	}
	return false
}

// checkImages: every node's image is on its host.
func (m *model) checkImages() {
	for _, p := range m.w.Pods() {
		for _, n := range p.Nodes {
			for _, r := range p.Revisions {
				if image := r.Workload.Image; r.Number == n.Revision && n.State == pod.StateOnline && image != "" && !slices.Contains(bare(m.w.hosts[n.Host].Images()), image) {
					m.failf("node %s/%s runs image %s, which is not on host %s", p.Spec.Name, n.Name, image, n.Host)
				}
			}
		}
	}
}

// checkIdle: a world in which nothing happens is left alone.
func (m *model) checkIdle() {
	w := m.w
	for _, p := range w.Pods() {
		if len(p.Problems) > 0 {
			return // it goes on trying
		}
	}
	checkpoints := 0 // of policies with a memory, every 30 ticks
	for _, p := range w.Pods() {
		if strings.Contains(string(p.Elasticity.PolicyJSON), "cooldown") {
			checkpoints++
		}
	}
	saves, applies := w.store.Saves(), w.balancer.Count(balancertest.Apply)
	before := map[string]int{}
	for name, h := range w.hosts {
		before[name] = len(h.Calls("start", "stop"))
	}
	for range 10 {
		w.load(0.5)
		time.Sleep(time.Second)
	}
	if n := w.store.Saves() - saves; n > checkpoints {
		m.failf("%d saves while nothing happened", n)
	}
	if n := w.balancer.Count(balancertest.Apply) - applies; n > 0 {
		m.failf("%d applies while nothing happened", n)
	}
	for name, h := range w.hosts {
		if n := len(h.Calls("start", "stop")) - before[name]; n > 0 {
			m.failf("%d starts and stops on host %s while nothing happened", n, name)
		}
	}
}
