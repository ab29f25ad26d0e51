package state

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/pod"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// spec is a pod that runs a version of a shop.
func spec(version string) PodSpec {
	return PodSpec{
		Spec: pod.Spec{
			Name: "web",
			Workload: pod.Workload{
				Image: "shop", Command: []string{"/shop", "--serve"}, Env: map[string]string{"VERSION": version, "SECRET": "s3cret"},
				Ports: map[string]int{"http": 8080}, Probe: pod.Probe{Kind: pod.ProbeHTTP, Path: "/healthz", Port: "http"},
			},
			Limits: pod.Limits{CPU: 1, Memory: 1 << 30},
		},
		Fronts: []Front{{Front: balancer.Front{Listen: "127.0.0.1:5100"}}},
	}.WithDefaults()
}

func TestNewPod(t *testing.T) {
	p := NewPod(PodSpec{Spec: spec("1").Spec}, epoch)
	assert.EqualValues(t, 1, p.Revision)
	require.Len(t, p.Revisions, 1)
	assert.Equal(t, Revision{Number: 1, At: epoch, Workload: p.Spec.Workload, Limits: p.Spec.Limits, Reason: "created"}, p.Revisions[0])
	assert.Equal(t, p.Elasticity, p.Elasticity.For(p.Spec.Spec), "complete")
	assert.Nil(t, p.Rollout)
	process := spec("1")
	process.Workload.Image = ""
	assert.True(t, NewPod(process, epoch).Revisions[0].Resolved, "there is no image to ask about")
}

func TestRevise(t *testing.T) {
	p := NewPod(spec("1"), epoch)
	other := spec("1")
	other.MaxNodes, other.Hosts, other.Drain, other.Update.MaxSurge = 7, []string{"a"}, time.Minute, 3
	p.Revise(other, "changed", epoch)
	assert.EqualValues(t, 1, p.Revision, "only what runs counts")
	assert.Nil(t, p.Rollout)
	assert.Equal(t, 7, p.Spec.MaxNodes)

	p.Revise(spec("2"), "changed by hand", epoch.Add(time.Hour))
	assert.EqualValues(t, 2, p.Revision)
	assert.Equal(t, &Rollout{From: 1, To: 2, State: RolloutProgressing, Reason: "changed by hand", StartedAt: epoch.Add(time.Hour)}, p.Rollout)
	assert.Same(t, p.Rollout, p.Rolling())

	// Another change before it is over: what ran before it is still what is proven.
	p.Revise(spec("3"), "again", epoch.Add(2*time.Hour))
	assert.EqualValues(t, 3, p.Revision)
	assert.EqualValues(t, 1, p.Rollout.From)
	assert.EqualValues(t, 3, p.Rollout.To)

	// Back to that: the rollout is over, and no new revision is made.
	p.Revise(spec("1"), "back", epoch.Add(3*time.Hour))
	assert.EqualValues(t, 1, p.Revision)
	assert.Len(t, p.Revisions, 3)
	assert.Equal(t, RolloutRolledBack, p.Rollout.State)
	assert.Equal(t, "back", p.Rollout.Reason)
	assert.Equal(t, epoch.Add(3*time.Hour), p.Rollout.EndedAt)
	assert.Nil(t, p.Rolling())

	// Once it is over the same spec is a new revision.
	p.Revise(spec("2"), "once more", epoch.Add(4*time.Hour))
	assert.EqualValues(t, 4, p.Revision)
	p.Rollout.End(epoch)
	assert.Nil(t, p.Rolling())
	p.Revise(spec("1"), "and back", epoch.Add(5*time.Hour))
	assert.EqualValues(t, 5, p.Revision)
	assert.EqualValues(t, 4, p.Rollout.From)
}

func TestRestart(t *testing.T) {
	p := NewPod(spec("1"), epoch)
	p.Revisions[0].Pin("sha256:1")
	p.Restart("restarted by hand", epoch.Add(time.Hour))
	assert.EqualValues(t, 2, p.Revision)
	assert.Equal(t, p.Revisions[0].Workload, p.Revisions[1].Workload)
	assert.False(t, p.Revisions[1].Resolved, "its image is asked about anew")
	assert.Equal(t, "sha256:1", p.Revisions[0].Digest)
	assert.EqualValues(t, 1, p.Rollout.From)
	assert.EqualValues(t, 2, p.Rollout.To)
	p.Revise(spec("1"), "the same", epoch)
	assert.EqualValues(t, 2, p.Revision)
}

func TestGoTo(t *testing.T) {
	p := NewPod(spec("1"), epoch)
	p.Revisions[0].Pin("sha256:1")
	next := spec("2")
	next.Workload.Probe.Path = "/ready"
	next.MaxNodes = 7
	p.Revise(next.WithDefaults(), "changed", epoch)
	p.Rollout.End(epoch)
	p.GoTo(1, "back by hand", epoch.Add(time.Hour))
	assert.EqualValues(t, 1, p.Revision)
	assert.Equal(t, "1", p.Spec.Workload.Env["VERSION"])
	assert.Equal(t, 7, p.Spec.MaxNodes, "only what runs is as before")
	assert.Equal(t, "/healthz", p.Spec.Fronts[0].CheckPath, "the front is checked where the probe is")
	assert.EqualValues(t, 2, p.Rollout.From)
	assert.EqualValues(t, 1, p.Rollout.To)
	assert.Equal(t, "sha256:1", p.RevisionOf(1).Digest)
	assert.Len(t, p.Revisions, 2)

	// Amid a rollout, to where it began.
	p.Revise(spec("3"), "changed", epoch)
	p.GoTo(p.Rollout.From, "its nodes failed", epoch)
	assert.Equal(t, RolloutRolledBack, p.Rollout.State)
	assert.EqualValues(t, 2, p.Revision)
}

// While a rollout changes the path at which a front is checked, only its port is.
func TestFrontsDuringARollout(t *testing.T) {
	p := NewPod(spec("1"), epoch)
	assert.Equal(t, "/healthz", p.FrontsNow()[0].CheckPath)
	next := spec("1")
	next.Workload.Probe.Path = "/ready"
	next.Fronts[0].CheckPath = "/ready"
	next.Fronts = append(next.Fronts, Front{Port: "http", Front: balancer.Front{Name: "more", Listen: "127.0.0.1:5101", CheckPath: "/x"}})
	p.Revise(next.WithDefaults(), "changed", epoch)
	assert.Equal(t, []string{"web"}, p.Rollout.Unchecked)
	assert.Empty(t, p.FrontsNow()[0].CheckPath)
	assert.Equal(t, "/x", p.FrontsNow()[1].CheckPath)
	assert.Equal(t, "/ready", p.Spec.Fronts[0].CheckPath, "the spec is left alone")
	p.Revise(spec("4"), "again", epoch)
	assert.Equal(t, []string{"web", "web"}, p.Rollout.Unchecked)
	p.Rollout.End(epoch)
	assert.Equal(t, "/healthz", p.FrontsNow()[0].CheckPath)

	out := Unchecked(next.Fronts, spec("1").Fronts)
	assert.Empty(t, out[0].CheckPath)
	assert.Equal(t, "/x", out[1].CheckPath)
	assert.Equal(t, "/ready", next.Fronts[0].CheckPath)
}

// Old revisions are forgotten, but none that a node runs or the rollout needs.
func TestOldRevisionsAreForgotten(t *testing.T) {
	p := NewPod(spec("1"), epoch)
	p.Nodes = []Node{{Name: "n1", State: pod.StateOnline, Revision: 2}}
	for i := 2; i <= 30; i++ {
		p.Revise(spec(fmt.Sprint(i)), "", epoch)
		if i < 25 {
			p.Rollout.End(epoch)
		}
		require.NotNil(t, p.RevisionOf(p.Revision))
		require.NotNil(t, p.RevisionOf(p.Rollout.From), i)
		require.LessOrEqual(t, len(p.Revisions), KeptRevisions+2, "with those that are needed")
	}
	assert.NotNil(t, p.RevisionOf(2), "a node runs it")
	assert.NotNil(t, p.RevisionOf(24), "what the rollout replaces")
	assert.EqualValues(t, 30, p.Revision)
	p.Nodes = nil
	p.Restart("", epoch)
	assert.Nil(t, p.RevisionOf(2))
	assert.EqualValues(t, 31, p.Revision)
}

func TestSpecOf(t *testing.T) {
	p := NewPod(spec("1"), epoch)
	p.Revise(spec("2"), "", epoch)
	p.Spec.MaxNodes = 7
	assert.Equal(t, "1", p.SpecOf(1).Workload.Env["VERSION"])
	assert.Equal(t, 7, p.SpecOf(1).MaxNodes)
	assert.Equal(t, "2", p.SpecOf(2).Workload.Env["VERSION"])
	assert.Equal(t, "2", p.SpecOf(99).Workload.Env["VERSION"], "of one that is not kept")
}

func TestSameRun(t *testing.T) {
	a := spec("1").Spec
	for name, change := range map[string]func(*pod.Spec){
		"command": func(s *pod.Spec) { s.Workload.Command = []string{"/other"} },
		"env":     func(s *pod.Spec) { s.Workload.Env = map[string]string{} },
		"cpu":     func(s *pod.Spec) { s.Limits.CPU = 2 },
		"image":   func(s *pod.Spec) { s.Workload.Image = "shop:2" },
		"probe":   func(s *pod.Spec) { s.Workload.Probe.Path = "/x" },
	} {
		b := a.Clone()
		change(&b)
		assert.False(t, SameRun(a, b), name)
		assert.True(t, SameRun(b, b.Clone()))
	}
	b := a.Clone()
	b.MaxNodes, b.Hosts, b.Grace = 99, []string{"x"}, time.Hour
	assert.True(t, SameRun(a, b))
}

func TestNodesOfARecord(t *testing.T) {
	p := NewPod(spec("1"), epoch)
	assert.Equal(t, "n1", p.Register("", epoch).Name)
	assert.Equal(t, "mine", p.Register("mine", epoch).Name)
	p.Register("n2", epoch)
	assert.Equal(t, "n3", p.Register("", epoch).Name, "n2 is taken")
	p.SkipTo(2)
	assert.Equal(t, "n4", p.Register("", epoch).Name)
	p.SkipTo(10)
	assert.Equal(t, "n11", p.Register("", epoch).Name)
	assert.Equal(t, 6, p.Count(pod.StateNew))
	assert.Equal(t, "n1", p.OldestNew().Name)
	p.Node("n1").Launch("a", 1)
	assert.Equal(t, "mine", p.OldestNew().Name)
	assert.Equal(t, 1, p.Count(pod.StateStarting, pod.StateOnline))
	assert.Nil(t, p.Node("nobody"))
	p.AddCut("n1", 3)
	p.AddCut("nobody", 2)
	assert.EqualValues(t, 5, p.Cut)
	assert.EqualValues(t, 3, p.Node("n1").Cut)
	p.Forget(func(name string) bool { return strings.HasPrefix(name, "n") })
	assert.Len(t, p.Nodes, 1)
	p.Forget(func(string) bool { return true })
	assert.Nil(t, p.OldestNew())
}

func TestLifeOfANode(t *testing.T) {
	n := Node{Name: "n1", State: pod.StateNew}
	assert.False(t, n.Live())
	n.Launch("a", 7)
	assert.True(t, n.Live())
	made := pod.Node{Handle: "c1", StartedAt: epoch, Endpoints: map[string]string{"http": "10.0.0.1:80"}}
	n.Online(made, epoch.Add(time.Second))
	assert.Equal(t, Node{Name: "n1", State: pod.StateOnline, Host: "a", Revision: 7, Handle: "c1", StartedAt: epoch, ReadyAt: epoch.Add(time.Second), Endpoints: made.Endpoints}, n)
	n.Drain(epoch.Add(time.Minute), "scaled in")
	assert.False(t, n.Live())
	n.Extend(epoch.Add(time.Hour))
	assert.Equal(t, epoch.Add(time.Hour), n.DrainBy)
	assert.Equal(t, "scaled in", n.Reason)
	n.Fail("exit code 1")
	assert.Equal(t, "exit code 1", n.Reason)
	assert.PanicsWithError(t, "cms: node state transition not allowed: node n1: failed → online", func() { n.Online(made, epoch) })
}

func TestMedianBoot(t *testing.T) {
	var p Pod
	assert.Zero(t, p.MedianBoot())
	for i := range 40 {
		p.Booted(time.Duration(i) * time.Second)
		require.LessOrEqual(t, len(p.Boots), KeptBoots)
	}
	assert.Equal(t, 32*time.Second, p.MedianBoot(), "of the last 15")
	p.Boots = []time.Duration{9, 1, 5, 7}
	assert.EqualValues(t, 7, p.MedianBoot())
	assert.Equal(t, []time.Duration{9, 1, 5, 7}, p.Boots, "in the order in which they came")
}

func TestBounds(t *testing.T) {
	p := NewPod(spec("1"), epoch)
	p.SetElasticity(Elasticity{Enabled: true, Min: 3, Max: 8, Mode: ModeAct}.For(p.Spec.Spec))
	p.SetWant(6)
	p.FitBounds(5, false)
	assert.Equal(t, [3]int{3, 5, 6}, [3]int{p.Elasticity.Min, p.Elasticity.Max, p.Want})
	p.FitBounds(2, true)
	assert.Equal(t, [3]int{2, 2, 2}, [3]int{p.Elasticity.Min, p.Elasticity.Max, p.Want})
	p.SetWant(-3)
	assert.Zero(t, p.Want)
	assert.Equal(t, 2, p.WantedAfter(9))
	p.Elasticity.Enabled = false
	p.Want, p.Spec.MaxNodes = 12, 10
	assert.Equal(t, 10, p.WantedAfter(1))
}

func TestPolicyMemory(t *testing.T) {
	p := NewPod(spec("1"), epoch)
	assert.True(t, p.KeepPolicy([]byte("m"), epoch))
	assert.False(t, p.KeepPolicy([]byte("m"), epoch))
	assert.True(t, p.KeepPolicy([]byte("m"), epoch.Add(1)))
	e := p.Elasticity
	e.Min = 2
	p.SetElasticity(e)
	assert.NotEmpty(t, p.PolicyMemory)
	e.PolicyJSON = []byte(`{"kind":"threshold","lower":0.1,"upper":0.7}`)
	p.SetElasticity(e)
	assert.Empty(t, p.PolicyMemory, "another policy begins anew")
}

// A clone shares nothing that a method changes.
func TestCloneOfAPod(t *testing.T) {
	p := NewPod(spec("1"), epoch)
	p.Revise(spec("2"), "", epoch)
	p.Register("", epoch)
	p.Booted(time.Second)
	before := fmt.Sprintf("%+v %+v", p, *p.Rollout)
	c := p.Clone()
	c.Node("n1").Launch("a", 1)
	c.Rollout.Failed()
	c.Rollout.Hold(true)
	c.RevisionOf(1).Pin("x")
	c.Booted(2 * time.Second)
	c.Revise(spec("3"), "", epoch)
	c.Forget(func(string) bool { return true })
	assert.Equal(t, before, fmt.Sprintf("%+v %+v", p, *p.Rollout))
}

func TestRolloutStates(t *testing.T) {
	p := NewPod(spec("1"), epoch)
	assert.Nil(t, p.Rolling())
	p.Revise(spec("2"), "", epoch)
	r := p.Rollout
	r.Hold(true)
	assert.Equal(t, RolloutPaused, r.State)
	assert.NotNil(t, p.Rolling())
	r.Hold(false)
	assert.Equal(t, RolloutProgressing, r.State)
	r.Next(2)
	r.Failed()
	assert.Equal(t, [2]int{2, 1}, [2]int{r.Step, r.Failures})
	r.End(epoch.Add(time.Hour))
	assert.Equal(t, epoch.Add(time.Hour), r.EndedAt)
	for s, over := range map[RolloutState]bool{RolloutProgressing: false, RolloutPaused: false, RolloutDone: true, RolloutRolledBack: true} {
		assert.Equal(t, over, s.Over(), s)
	}
}

// Whatever is changed in whatever order, the current revision is kept and is what
// the spec runs, and numbers are used once.
func TestRevisionsStayTrue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := NewPod(spec("1"), epoch)
		used := map[uint64]string{1: runText(p.Spec.Workload, p.Spec.Limits)}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"revise", "revise", "restart", "goto", "end", "hold"}).Draw(t, "step") {
			case "revise":
				p.Revise(spec(rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "version")), "", epoch)
			case "restart":
				p.Restart("", epoch)
			case "goto":
				if to := rapid.SampledFrom(p.Revisions).Draw(t, "to").Number; to != p.Revision {
					p.GoTo(to, "", epoch)
				}
			case "end":
				if r := p.Rolling(); r != nil {
					r.End(epoch)
				}
			case "hold":
				if r := p.Rolling(); r != nil {
					r.Hold(true)
				}
			}
			v := p.RevisionOf(p.Revision)
			require.NotNil(t, v)
			require.True(t, v.runs(p.Spec.Spec))
			for _, r := range p.Revisions {
				text := runText(r.Workload, r.Limits)
				if used[r.Number] == "" {
					used[r.Number] = text
				}
				require.Equal(t, used[r.Number], text, "revision %d", r.Number)
			}
			if r := p.Rollout; r != nil && !r.State.Over() {
				require.Equal(t, p.Revision, r.To)
				require.NotNil(t, p.RevisionOf(r.From))
				require.NotEqual(t, r.From, r.To)
			}
		}
	})
}
