package cmstest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/pod"
)

// Harness is how [RunStore] gets at the stores of one kind.
type Harness struct {
	// Open opens the store that lives in dir, which is empty at first. Required.
	Open func(dir string) (state.Store, error)
	// Newer makes the closed store in dir look as if a newer version had written
	// it. Nil where a store has no versions.
	Newer func(t testing.TB, dir string)
	// Damage makes the closed store in dir unreadable. Nil where that cannot be.
	Damage func(t testing.TB, dir string)
	// Content returns what lies in dir, to see that it was left alone. Required
	// with Newer or Damage.
	Content func(t testing.TB, dir string) []byte
}

// RunStore checks that the stores which h opens keep the contract of
// [state.Store].
func RunStore(t *testing.T, h Harness) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Harness)
	}{
		{"MakesIDOnceAndKeepsIt", testID},
		{"KeepsEveryField", testEveryField},
		{"KeepsUnsetFieldsUnset", testUnset},
		{"PutReplacesAndDeleteRemoves", testPutDelete},
		{"ZeroChangeChangesNothing", testZeroChange},
		{"EventIDOnlyGrows", testEventID},
		{"ReplacesTheClusterID", testClusterID},
		{"TakesChangesWithAndWithoutATerm", testTerm},
		{"BacksUpWhileInUse", testArchive},
		{"SortsByName", testSorted},
		{"SharesNothingWithCallers", testIsolation},
		{"ChangesAllOrNothing", testAtomic},
		{"EndedContextChangesNothing", testContext},
		{"TakesConcurrentChanges", testConcurrent},
		{"KeepsWhatWasSavedBeforeAbruptReopen", testReopen},
		{"LocksOutASecondOne", testLocked},
		{"ClosesTwiceAndRefusesAfter", testClose},
		{"LeavesNewerVersionAlone", testNewer},
		{"LeavesDamagedAlone", testDamaged},
	} {
		if c.name == "LeavesNewerVersionAlone" && h.Newer == nil || c.name == "LeavesDamagedAlone" && h.Damage == nil {
			continue // a store without versions, or one that cannot be damaged
		}
		t.Run(c.name, func(t *testing.T) { c.test(t, h) })
	}
}

func open(t *testing.T, h Harness, dir string) state.Store {
	t.Helper()
	s, err := h.Open(dir)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	return s
}

func load(t *testing.T, s state.Store) state.State {
	t.Helper()
	all, err := s.Load(t.Context())
	require.NoError(t, err)
	return all
}

func save(t *testing.T, s state.Store, c state.Change) {
	t.Helper()
	require.NoError(t, s.Save(t.Context(), c))
}

// same compares two values as JSON: spaces in a policy and the location of a
// time are not what a store must keep.
func same(t *testing.T, want, got any, args ...any) {
	t.Helper()
	w, err := json.Marshal(want)
	require.NoError(t, err)
	g, err := json.Marshal(got)
	require.NoError(t, err)
	assert.JSONEq(t, string(w), string(g), args...)
}

func testID(t *testing.T, h Harness) {
	dir := t.TempDir()
	s := open(t, h, dir)
	first := load(t, s)
	assert.GreaterOrEqual(t, len(first.ClusterID), 16, "the id must be hard to make twice")
	assert.Empty(t, first.Pods)
	assert.Empty(t, first.Hosts)
	assert.Zero(t, first.EventID)
	assert.Equal(t, first.ClusterID, load(t, s).ClusterID)
	require.NoError(t, s.Close())
	assert.Equal(t, first.ClusterID, load(t, open(t, h, dir)).ClusterID)
	assert.NotEqual(t, first.ClusterID, load(t, open(t, h, t.TempDir())).ClusterID)
}

func testEveryField(t *testing.T, h Harness) {
	dir := t.TempDir()
	s := open(t, h, dir)
	p, host := FullPod(), FullHost()
	save(t, s, state.Change{PutPods: []state.Pod{p}, PutHosts: []state.Host{host}, EventID: 7})
	check := func(s state.Store) {
		got := load(t, s)
		require.Len(t, got.Pods, 1)
		require.Len(t, got.Hosts, 1)
		same(t, p, got.Pods[0])
		same(t, host, got.Hosts[0])
		assert.Equal(t, p.PolicyMemory, got.Pods[0].PolicyMemory)
		assert.JSONEq(t, string(p.Elasticity.PolicyJSON), string(got.Pods[0].Elasticity.PolicyJSON))
		assert.True(t, p.CreatedAt.Equal(got.Pods[0].CreatedAt), "times are kept to the nanosecond")
		assert.EqualValues(t, 7, got.EventID)
	}
	check(s)
	require.NoError(t, s.Close())
	check(open(t, h, dir))
}

func testUnset(t *testing.T, h Harness) {
	s := open(t, h, t.TempDir())
	p := state.Pod{Spec: state.PodSpec{Spec: pod.Spec{Name: "bare"}}}
	save(t, s, state.Change{PutPods: []state.Pod{p}})
	got := load(t, s)
	require.Len(t, got.Pods, 1)
	assert.Equal(t, p, got.Pods[0])
}

func testPutDelete(t *testing.T, h Harness) {
	s := open(t, h, t.TempDir())
	save(t, s, state.Change{PutPods: []state.Pod{named("a"), named("b")}, PutHosts: []state.Host{host("x"), host("y")}})
	b := named("b")
	b.Want, b.Nodes = 3, []state.Node{{Name: "b-1", State: pod.StateNew}}
	save(t, s, state.Change{PutPods: []state.Pod{b}})
	got := load(t, s)
	assert.Equal(t, []string{"a", "b"}, podNames(got))
	same(t, b, got.Pods[1])
	b.Nodes = nil
	save(t, s, state.Change{PutPods: []state.Pod{b}})
	assert.Empty(t, load(t, s).Pods[1].Nodes, "a put replaces the whole record")

	save(t, s, state.Change{DeletePods: []string{"a", "never-there"}, DeleteHosts: []string{"y"}, PutPods: []state.Pod{named("c")}})
	got = load(t, s)
	assert.Equal(t, []string{"b", "c"}, podNames(got))
	assert.Equal(t, []string{"x"}, hostNames(got))
}

func testZeroChange(t *testing.T, h Harness) {
	s := open(t, h, t.TempDir())
	save(t, s, state.Change{PutPods: []state.Pod{FullPod()}, PutHosts: []state.Host{FullHost()}, EventID: 9})
	before := load(t, s)
	save(t, s, state.Change{})
	assert.Equal(t, before, load(t, s))
}

func testClusterID(t *testing.T, h Harness) {
	dir := t.TempDir()
	s := open(t, h, dir)
	first := load(t, s).ClusterID
	save(t, s, state.Change{EventID: 1})
	assert.Equal(t, first, load(t, s).ClusterID)
	save(t, s, state.Change{ClusterID: "OTHER", PutPods: []state.Pod{FullPod()}})
	got := load(t, s)
	assert.Equal(t, "OTHER", got.ClusterID)
	assert.Len(t, got.Pods, 1)
	require.NoError(t, s.Close())
	assert.Equal(t, "OTHER", load(t, open(t, h, dir)).ClusterID)
}

// testTerm saves as managers that take turns do, and as one that is alone: a term
// is not a part of what is kept.
func testTerm(t *testing.T, h Harness) {
	s := open(t, h, t.TempDir())
	save(t, s, state.Change{PutPods: []state.Pod{named("a")}, EventID: 3})
	before := load(t, s)
	for _, term := range []uint64{1, 7, 0} {
		save(t, s, state.Change{Term: term})
		assert.Equal(t, before, load(t, s), "term %d", term)
		save(t, s, state.Change{Term: term, PutPods: []state.Pod{named("b")}})
		assert.Equal(t, []string{"a", "b"}, podNames(load(t, s)), "term %d", term)
		save(t, s, state.Change{Term: term, DeletePods: []string{"b"}})
	}
}

func testEventID(t *testing.T, h Harness) {
	dir := t.TempDir()
	s := open(t, h, dir)
	for _, id := range []uint64{5, 100, 40, 0} {
		save(t, s, state.Change{EventID: id})
	}
	assert.EqualValues(t, 100, load(t, s).EventID, "an id that was used is never used again, whoever saves last")
	require.NoError(t, s.Close())
	assert.EqualValues(t, 100, load(t, open(t, h, dir)).EventID)
}

func testSorted(t *testing.T, h Harness) {
	s := open(t, h, t.TempDir())
	for _, n := range []string{"m", "z", "a-10", "a", "a-9", "b"} {
		save(t, s, state.Change{PutPods: []state.Pod{named(n)}, PutHosts: []state.Host{host(n)}})
	}
	want := []string{"a", "a-10", "a-9", "b", "m", "z"}
	assert.Equal(t, want, podNames(load(t, s)))
	assert.Equal(t, want, hostNames(load(t, s)))
}

func testIsolation(t *testing.T, h Harness) {
	s := open(t, h, t.TempDir())
	p, hr := FullPod(), FullHost()
	save(t, s, state.Change{PutPods: []state.Pod{p}, PutHosts: []state.Host{hr}})
	scramble(&p)
	scramble(&hr)
	got := load(t, s)
	same(t, FullPod(), got.Pods[0], "what the caller does after Save must not reach the store")
	same(t, FullHost(), got.Hosts[0], "what the caller does after Save must not reach the store")
	scramble(&got.Pods[0])
	scramble(&got.Hosts[0])
	got = load(t, s)
	same(t, FullPod(), got.Pods[0], "what the caller does after Load must not reach the store")
	same(t, FullHost(), got.Hosts[0], "what the caller does after Load must not reach the store")
}

func testAtomic(t *testing.T, h Harness) {
	dir := t.TempDir()
	s := open(t, h, dir)
	save(t, s, state.Change{PutPods: []state.Pod{named("a")}, PutHosts: []state.Host{host("x")}, EventID: 1})
	before := load(t, s)

	unreadable := named("d")
	unreadable.Nodes = []state.Node{{Name: "d-1"}} // a state that no store may keep
	notJSON := named("e")
	notJSON.Elasticity.PolicyJSON = json.RawMessage("{")
	for name, bad := range map[string]state.Change{
		"pod without a name":    {PutPods: []state.Pod{named("")}},
		"host without a name":   {PutHosts: []state.Host{host("")}},
		"node without a state":  {PutPods: []state.Pod{unreadable}},
		"policy that isnt JSON": {PutPods: []state.Pod{notJSON}},
	} {
		bad.PutPods = slices.Concat([]state.Pod{named("b")}, bad.PutPods)
		bad.PutHosts = slices.Concat([]state.Host{host("y")}, bad.PutHosts)
		bad.DeletePods, bad.DeleteHosts, bad.EventID = []string{"a"}, []string{"x"}, 50
		assert.Error(t, s.Save(t.Context(), bad), name)
		assert.Equal(t, before, load(t, s), name)
	}
	require.NoError(t, s.Close())
	assert.Equal(t, before, load(t, open(t, h, dir)))
}

func testContext(t *testing.T, h Harness) {
	s := open(t, h, t.TempDir())
	before := load(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, s.Save(ctx, state.Change{PutPods: []state.Pod{named("a")}}), context.Canceled)
	_, err := s.Load(ctx)
	assert.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, before, load(t, s))
}

// testConcurrent lets each pod be changed by a goroutine of its own, as the
// manager does, while others read: a reader sees each change whole.
func testConcurrent(t *testing.T, h Harness) {
	const pods, rounds = 6, 15
	dir := t.TempDir()
	s := open(t, h, dir)
	var wg sync.WaitGroup
	for i := range pods {
		wg.Go(func() {
			for round := 1; round <= rounds; round++ {
				p, hr := named(fmt.Sprintf("p-%d", i)), host(fmt.Sprintf("h-%d", i))
				p.Want, hr.Host.CPUOvercommit = round, float64(round)
				assert.NoError(t, s.Save(t.Context(), state.Change{
					PutPods: []state.Pod{p}, PutHosts: []state.Host{hr}, EventID: uint64(round*pods + i),
				}))
			}
		})
	}
	for range 2 {
		wg.Go(func() {
			for range rounds {
				all, err := s.Load(t.Context())
				if !assert.NoError(t, err) || !assert.Equal(t, len(all.Pods), len(all.Hosts), "half a change was seen") {
					return
				}
				for i := range all.Pods {
					assert.EqualValues(t, all.Pods[i].Want, all.Hosts[i].Host.CPUOvercommit, "half a change was seen")
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, s.Close())
	got := load(t, open(t, h, dir))
	require.Len(t, got.Pods, pods)
	for _, p := range got.Pods {
		assert.Equal(t, rounds, p.Want)
	}
	assert.EqualValues(t, rounds*pods+pods-1, got.EventID)
}

func testReopen(t *testing.T, h Harness) {
	dir := t.TempDir()
	for i := range 5 {
		s := open(t, h, dir)
		require.Len(t, load(t, s).Pods, i)
		save(t, s, state.Change{PutPods: []state.Pod{named(fmt.Sprintf("p-%d", i))}})
		require.NoError(t, s.Close())
	}
}

func testLocked(t *testing.T, h Harness) {
	dir := t.TempDir()
	s := open(t, h, dir)
	before := load(t, s)
	began := time.Now()
	second, err := h.Open(dir)
	if err == nil {
		assert.NoError(t, second.Close())
	}
	require.ErrorIs(t, err, state.ErrStoreLocked)
	assert.Less(t, time.Since(began), 3*time.Second, "a person waits for this answer")
	save(t, s, state.Change{EventID: 3})
	assert.Equal(t, before.ClusterID, load(t, s).ClusterID)
	require.NoError(t, s.Close())
	assert.EqualValues(t, 3, load(t, open(t, h, dir)).EventID)
}

func testClose(t *testing.T, h Harness) {
	s := open(t, h, t.TempDir())
	load(t, s)
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	_, err := s.Load(t.Context())
	assert.Error(t, err)
	assert.Error(t, s.Save(t.Context(), state.Change{EventID: 1}))
}

func testNewer(t *testing.T, h Harness) { testRefused(t, h, h.Newer, state.ErrStoreVersion) }

func testDamaged(t *testing.T, h Harness) { testRefused(t, h, h.Damage, state.ErrStoreCorrupt) }

// testRefused says that open or load answers with want, and that nothing is written.
func testRefused(t *testing.T, h Harness, change func(testing.TB, string), want error) {
	dir := t.TempDir()
	s := open(t, h, dir)
	load(t, s)
	save(t, s, state.Change{PutPods: []state.Pod{FullPod()}, PutHosts: []state.Host{FullHost()}})
	require.NoError(t, s.Close())
	change(t, dir)
	before := h.Content(t, dir)
	for range 2 {
		again, err := h.Open(dir)
		if err == nil {
			_, err = again.Load(t.Context())
			err = errors.Join(err, again.Close())
		}
		require.ErrorIs(t, err, want)
		assert.Equal(t, before, h.Content(t, dir), "what cannot be read is left as it is")
	}
}
