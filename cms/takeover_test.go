package cms_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/balancertest"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/cmstest"
	"github.com/elastipod/elastipod/pod"
)

// rich is the pod of spec with much that must survive a lost store.
func rich() cms.PodSpec {
	s := spec()
	s.MaxNodes, s.Drain, s.Grace = 7, 20*time.Second, 3*time.Second
	s.Workload.Entrypoint = []string{"/entry", "-with", "words"}
	s.Workload.Command = []string{"/web", "-token", "hidden-argument"}
	s.Workload.Env = map[string]string{"PASSWORD": "hidden-value", "EMPTY": "", "LINES": "a\nb=c"}
	s.Workload.Ports = map[string]int{"http": 8080, "admin": 9090}
	s.Workload.Mounts = []pod.Mount{{Kind: pod.MountVolume, Source: "data", Target: "/data"}}
	s.Update = cms.Update{Strategy: cms.Canary, Steps: []cms.CanaryStep{{Weight: 20, Pause: time.Second}}}
	s.Fronts = append(s.Fronts, cms.Front{Front: balancer.Front{Name: "web-admin", Listen: "127.0.0.1:5101", MaxConn: 9}, Port: "admin"})
	s.Fronts[0].Name = "web"
	return s
}

// lose ends the manager, and its store is no more.
func (w *world) lose() {
	w.end()
	w.store = cmstest.NewStore()
}

// refused runs a manager that must refuse to start.
func (w *world) refused() error {
	w.config.Store, w.config.Balancer = w.store, w.balancer
	m, err := cms.New(w.config)
	require.NoError(w.t, err)
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	err = m.Run(ctx)
	require.Error(w.t, err, "it started")
	w.end = func() {}
	return err
}

// touched returns what was done to nodes and fronts.
func (w *world) touched() (calls int) {
	for _, h := range w.hosts {
		calls += len(h.Calls("start", "stop"))
	}
	return calls + w.balancer.Count(balancertest.SetFront) + w.balancer.Count(balancertest.RemoveFront) + w.balancer.Count(balancertest.Apply)
}

// A second manager of the name, with a store of its own, finds out and refuses
// before it does anything: the first one goes on.
func TestSecondManagerOnTheSameHostsIsRefused(t *testing.T) {
	inWorld(t, []string{"a", "b"}, func(t *testing.T, w *world) {
		w.pod(3)
		first, before := w.Cluster().ID, w.touched()
		second := &world{t: t, hosts: w.hosts, balancer: w.balancer, store: cmstest.NewStore(), config: w.config}
		err := second.refused()
		require.ErrorIs(t, err, pod.ErrForeign)
		for _, word := range []string{first, "host a", "web/n1", "another name", "backup", "--take-over"} {
			assert.ErrorContains(t, err, word)
		}
		assert.Equal(t, before, w.touched(), "the second one did something")
		assert.Empty(t, second.store.State().Pods)
		time.Sleep(10 * time.Second)
		w.assertConsistent()
	})
}

// A lost store: the next manager refuses, and with TakeOver goes on with the
// same nodes, the same pods and the same balancer, to which nothing is done.
func TestTakeOverAfterALostStore(t *testing.T) {
	inWorld(t, []string{"a", "b"}, func(t *testing.T, w *world) {
		_, err := w.CreatePod(t.Context(), rich())
		require.NoError(t, err)
		w.elasticity(2, 5)
		before := w.wait("2 nodes", func(s cms.PodStatus) bool { return s.Converged && len(names(s, pod.StateOnline)) == 2 })
		other := spec()
		other.Name, other.Fronts = "other", nil
		_, err = w.CreatePod(t.Context(), other)
		require.NoError(t, err)
		_, err = w.RegisterNode(t.Context(), "other", "byhand")
		require.NoError(t, err)
		_, err = w.Launch(t.Context(), "other")
		require.NoError(t, err)
		time.Sleep(5 * time.Second)
		id, servers := w.Cluster().ID, w.balancer.Servers("web")
		w.lose()

		touched := w.touched()
		require.ErrorIs(t, w.refused(), pod.ErrForeign)
		assert.Equal(t, touched, w.touched())
		w.config.TakeOver = true
		w.start()
		after := w.converge()
		assert.Equal(t, id, w.Cluster().ID)
		assert.Equal(t, before.Spec, after.Spec)
		assert.Equal(t, before.Elasticity, after.Elasticity)
		assert.Equal(t, before.CreatedAt, after.CreatedAt)
		assert.Equal(t, before.Revision, after.Revision)
		assert.Equal(t, before.Want, after.Want)
		require.Len(t, after.Nodes, 2)
		for i := range after.Nodes {
			for _, s := range []*cms.NodeStatus{&before.Nodes[i], &after.Nodes[i]} {
				assert.Equal(t, pod.StateOnline, s.State)
				*s = cms.NodeStatus{Name: s.Name, Host: s.Host, Handle: s.Handle, Revision: s.Revision, Endpoints: s.Endpoints}
			}
		}
		assert.Equal(t, before.Nodes, after.Nodes)
		assert.Equal(t, servers, w.balancer.Servers("web"))
		assert.Zero(t, w.balancer.Cut())
		time.Sleep(time.Minute)
		for _, h := range w.hosts {
			assert.Empty(t, h.Calls("stop"), "a node was stopped")
		}
		third, err := w.Pod("other")
		require.NoError(t, err)
		assert.Equal(t, []string{"byhand"}, names(third, pod.StateOnline))
		_, err = w.DeletePod(t.Context(), "other")
		require.NoError(t, err)
		time.Sleep(time.Minute)
		w.assertConsistent()

		// It goes on as ever, also with the flag left set, and without it.
		for _, on := range []bool{true, false} {
			w.config.TakeOver = on
			w.restart()
			w.elasticity(3, 5)
			s := w.wait("3 nodes", func(s cms.PodStatus) bool { return s.Converged && len(s.Nodes) == 3 })
			assert.Equal(t, "n3", s.Nodes[2].Name, "a name is not used again")
			w.assertConsistent()
		}
	})
}

// What nodes carry shows no environment and no arguments.
func TestNodesCarryNothingSecret(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		s := rich()
		s.Workload.Secrets = []pod.Secret{{Name: "key", FromEnv: "HOME"}}
		_, err := w.CreatePod(t.Context(), s)
		require.NoError(t, err)
		w.launch()
		w.converge()
		calls := w.hosts["a"].Calls("start")
		require.Len(t, calls, 1)
		settings := calls[0].Request.Settings
		assert.Contains(t, settings, "PASSWORD", "names are there")
		assert.NotContains(t, settings, "hidden", "values and arguments are not")
		assert.Less(t, len(settings), 4<<10)
	})
}

// Settings that are too long for a node keep nobody from running: it is told.
func TestTooMuchToCarryIsTold(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		s := spec()
		s.Workload.Env = map[string]string{}
		for i := range 2000 {
			s.Workload.Env["VARIABLE_NUMBER_"+strconv.Itoa(i)] = "x"
		}
		_, err := w.CreatePod(t.Context(), s)
		require.NoError(t, err)
		w.launch()
		got := w.converge()
		require.Len(t, got.Problems, 1)
		assert.Contains(t, sentences(got.Problems)[0], "keep backups")
		assert.Empty(t, w.hosts["a"].Calls("start")[0].Request.Settings)

		w.lose()
		w.config.TakeOver = true
		assert.ErrorContains(t, w.refused(), "web/n1 on host a: it carries no settings")
		assert.Empty(t, w.store.State().Pods, "nothing was changed")
		assert.Len(t, running(w.hosts["a"]), 1)
	})
}

// In the middle of a rollout, the rollout is what is found: the nodes of the
// former revision are known and replaced, at a pace that cuts nothing.
func TestTakeOverInTheMiddleOfARollout(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(3)
		old := w.converge().Revision
		s := spec()
		s.Workload.Env = map[string]string{"VERSION": "2"}
		_, err := w.UpdatePod(t.Context(), s)
		require.NoError(t, err)
		mid := w.wait("in the middle", func(s cms.PodStatus) bool {
			n := 0
			for _, node := range s.Nodes {
				if node.State == pod.StateOnline && node.Revision != old {
					n++
				}
			}
			return n == 1
		})
		w.lose()
		w.config.TakeOver = true
		w.start()
		got := w.converge()
		assert.Equal(t, mid.Revision, got.Revision)
		assert.Equal(t, "2", got.Spec.Workload.Env["VERSION"])
		for _, n := range got.Nodes {
			assert.Equal(t, mid.Revision, n.Revision)
		}
		require.Len(t, got.Revisions, 2)
		assert.Equal(t, old, got.Revisions[0].Number)
		assert.Zero(t, w.balancer.Cut())
		_, err = w.UndoRollout(t.Context(), "web", got.Revisions[0].Number)
		require.NoError(t, err)
		assert.Equal(t, old, w.converge().Revision, "and it can go back")
	})
}

func TestTakeOverIsRefused(t *testing.T) {
	foreign := func(t *testing.T, w *world, host, id string, settings string) {
		rt := w.hosts[host].Open(pod.Cluster{Name: cms.DefaultName, ID: id})
		_, err := rt.Start(t.Context(), pod.StartRequest{
			ID: pod.NodeID{Pod: "web", Name: "n1"}, Revision: "1", Workload: spec().WithDefaults().Workload, Limits: spec().Limits, Settings: settings,
		})
		require.NoError(t, err)
		require.NoError(t, rt.Close())
	}
	for name, c := range map[string]struct {
		make func(t *testing.T, w *world)
		says []string
	}{
		"a host does not answer": {func(t *testing.T, w *world) {
			foreign(t, w, "a", "one", "")
			w.hosts["b"].SetUnreachable(true)
		}, []string{"host b", "bring the host back"}},
		"nodes of two managers": {func(t *testing.T, w *world) {
			foreign(t, w, "a", "one", "")
			foreign(t, w, "b", "two", "")
		}, []string{"id one on host a", "id two on host b", "all but one"}},
		"no settings":     {func(t *testing.T, w *world) { foreign(t, w, "a", "one", "") }, []string{"web/n1", "carries no settings", "backup"}},
		"broken settings": {func(t *testing.T, w *world) { foreign(t, w, "a", "one", "{") }, []string{"cannot be read"}},
		"newer settings":  {func(t *testing.T, w *world) { foreign(t, w, "a", "one", `{"Version":99}`) }, []string{"99", "newer program"}},
		"of another pod":  {func(t *testing.T, w *world) { foreign(t, w, "a", "one", `{"Version":2,"Spec":{"Name":"x"}}`) }, []string{`pod "x"`}},
		"an invalid spec": {func(t *testing.T, w *world) {
			foreign(t, w, "a", "one", `{"Version":2,"Spec":{"Name":"web","MaxNodes":-1}}`)
		}, []string{"max_nodes"}},
		"a lost variable": {func(t *testing.T, w *world) {
			foreign(t, w, "a", "one", `{"Version":2,"Spec":{"Name":"web","Workload":{"Env":{"GONE":""}}}}`)
		}, []string{"GONE"}},
		"another long word": {func(t *testing.T, w *world) {
			foreign(t, w, "a", "one", `{"Version":2,"Spec":{"Name":"web","Workload":{"Command":["","",""]}}}`)
		}, []string{"command"}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, []string{"a", "b"}, func(t *testing.T, w *world) {
				w.lose()
				c.make(t, w)
				w.config.TakeOver = true
				err := w.refused()
				for _, word := range c.says {
					assert.ErrorContains(t, err, word)
				}
				assert.Empty(t, w.store.State().Pods, "nothing was changed")
				for _, h := range w.hosts {
					assert.Empty(t, h.Calls("stop"))
				}
			})
		})
	}
}

// A program that knows more fields of a workload, or fewer, fills in other
// defaults. Nodes are not replaced for that.
func TestAFieldWithADefaultIsNoRevision(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(2)
		w.end()
		rec := w.store.State().Pods[0]
		require.Len(t, rec.Revisions, 1)
		// Fields that the earlier program did not have.
		for _, p := range []*pod.Probe{&rec.Spec.Workload.Probe, &rec.Revisions[0].Workload.Probe} {
			p.LiveInterval, p.Failures = 0, 0
		}
		rec.Spec.Update = cms.Update{}
		require.NoError(t, w.store.Save(t.Context(), cms.Change{PutPods: []cms.PodRecord{rec}}))
		w.restart()
		time.Sleep(time.Minute)
		s := w.converge()
		assert.Equal(t, []string{"n1", "n2"}, names(s, pod.StateOnline), "nodes were replaced")
		assert.Equal(t, spec().WithDefaults(), s.Spec, "what was not there has its default")

		// The same spec again is no change.
		s, err := w.UpdatePod(t.Context(), spec())
		require.NoError(t, err)
		assert.EqualValues(t, 1, s.Revision)
		assert.Nil(t, s.Rollout)
	})
}
