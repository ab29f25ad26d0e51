package reconcile

import (
	"encoding/json"
	"maps"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/metrics"
	"github.com/elastipod/elastipod/pod"
)

// Worlds and plans are values: no function, channel, error or interface but actions,
// and nothing that JSON would leave out.
func TestWorldsAndPlansAreValues(t *testing.T) {
	known := map[reflect.Type]bool{ // they marshal themselves
		reflect.TypeFor[time.Time](): true, reflect.TypeFor[metrics.Value](): true, reflect.TypeFor[elastic.Decision](): true,
		reflect.TypeFor[Action](): true,
	}
	seen := map[reflect.Type]bool{}
	var walk func(path string, of reflect.Type)
	walk = func(path string, of reflect.Type) {
		if known[of] || seen[of] {
			return
		}
		seen[of] = true
		switch of.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array:
			walk(path, of.Elem())
		case reflect.Map:
			walk(path, of.Key())
			walk(path, of.Elem())
		case reflect.Struct:
			for f := range of.Fields() {
				switch {
				case f.Name == "_" || of == reflect.TypeFor[state.Elasticity]() && f.Name == "Policy": // there as PolicyJSON
				case f.PkgPath != "" || f.Tag.Get("json") == "-":
					t.Errorf("%s.%s is left out", path, f.Name)
				default:
					walk(path+"."+f.Name, f.Type)
				}
			}
		case reflect.Func, reflect.Chan, reflect.Interface, reflect.UnsafePointer, reflect.Uintptr:
			t.Errorf("%s is a %s", path, of)
		}
	}
	walk("World", reflect.TypeFor[World]())
	walk("Plan", reflect.TypeFor[Plan]())
	for _, a := range []Action{Resolve{}, Start{}, Stop{}, SetFront{}, Apply{}, RemoveFront{}, Cancel{}, Release{}} {
		walk(reflect.TypeOf(a).Name(), reflect.TypeOf(a))
	}
	assert.Greater(t, len(seen), 60)
}

// A report holds no values of environment variables, and the World that it was made
// of still does.
func TestWorldsWithoutSecrets(t *testing.T) {
	s := newSim(t, 3, "a")
	s.revise("s3cret", state.Update{})
	spec := s.pod.Spec.Clone()
	s.command(Command{Kind: CommandUpdate, Spec: &spec})
	s.command(Command{Kind: CommandDelete})
	w := s.world()
	before, err := json.Marshal(w)
	require.NoError(t, err)
	require.Contains(t, string(before), "s3cret")
	report, err := json.Marshal(w.WithoutSecrets())
	require.NoError(t, err)
	assert.NotContains(t, string(report), "s3cret")
	assert.Contains(t, string(report), "VERSION", "the names stay")
	hidden := w.WithoutSecrets().Commands
	assert.Equal(t, [2]CommandKind{CommandUpdate, CommandDelete}, [2]CommandKind{hidden[0].Kind, hidden[1].Kind})
	assert.Equal(t, spec.MaxNodes, hidden[0].Spec.MaxNodes)
	after, err := json.Marshal(w)
	require.NoError(t, err)
	assert.Equal(t, string(before), string(after))
}

// When a plan could not be saved, what was begun before that goes on, and nothing
// of it is begun again.
func TestWorldAfterAFailedCommit(t *testing.T) {
	s := serving(t, 1, 3, "a")
	s.pod.SetWant(2)
	s.fronts["web"].Servers = nil // somebody emptied it
	s.running[NodeKey("x")] = &simRun{action: Stop{Node: "x"}, since: s.now, due: s.now.Add(time.Hour)}
	s.now = s.now.Add(time.Second)
	w := s.world()
	running := maps.Clone(w.Running)
	p := Reconcile(w)
	require.True(t, p.Changed)
	require.Len(t, actions[Apply](p.Before), 1)
	w.Results = []Result{{Kind: FrontEnded}, {Kind: StopEnded}, {Kind: RemoveEnded}}
	failing := w.Failing(p, Fault{Code: FaultStoreFull, Text: "no space"})
	assert.Equal(t, []Result{{Kind: StopEnded}}, failing.Results, "what the balancer answered is in the memory of fronts")
	assert.Len(t, w.Results, 3)
	assert.Equal(t, running, w.Running)
	assert.Contains(t, failing.Running, FrontKey("web"))
	assert.Contains(t, failing.Running, NodeKey("x"))
	again := Reconcile(failing)
	assert.False(t, again.Changed)
	assert.Empty(t, again.Before)
	assert.Empty(t, again.After)
	assert.Equal(t, 1, len(again.Pod.Nodes), "the record is as before")
	assert.Equal(t, p.Memory.Fronts, again.Memory.Fronts)
	assert.Equal(t, []Code{ProblemStore}, codes(again))
}

// While a plan is saved only fronts change.
func TestServingWhileAPlanIsSaved(t *testing.T) {
	s := serving(t, 2, 3, "a")
	s.exit("n2", 1)
	s.pod.SetWant(5)
	s.now = s.now.Add(time.Second)
	w := s.world()
	p := Serve(w)
	assert.False(t, p.Changed)
	assert.Empty(t, p.After)
	require.Len(t, actions[Apply](p.Before), 1)
	assert.Equal(t, "drain", string(actions[Apply](p.Before)[0].Servers[1].State), "the dead one gets nothing new")
	assert.Equal(t, s.pod.Nodes, p.Pod.Nodes)
}

func TestFinding(t *testing.T) {
	nodes := Nodes{{ID: pod.NodeID{Name: "a"}}, {ID: pod.NodeID{Name: "c"}, Handle: "x"}}
	for name, there := range map[string]bool{"a": true, "b": false, "c": true, "d": false, "": false} {
		n, ok := nodes.Find(name)
		assert.Equal(t, there, ok, name)
		if there {
			assert.Equal(t, name, n.ID.Name)
		} else {
			assert.Equal(t, pod.Node{}, *n)
		}
	}
}
