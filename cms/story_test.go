package cms_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/pod"
)

// story returns what was told since the last story: a line an event, of those
// that are about the pod.
func (w *world) story() []string {
	var out []string
	past, _ := w.Events(w.read)
	for _, e := range past {
		w.read = max(w.read, e.ID)
		if e.Pod == "web" {
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s: %s", e.Type, e.Node, e.Message)))
		}
	}
	return out
}

// assertStory compares what was told, whatever the order of what happens at the
// same time.
func (w *world) assertStory(want ...string) {
	w.t.Helper()
	assert.ElementsMatch(w.t, want, w.story())
}

// Everything that happens to a pod is told, once, in a sentence.
func TestTheLifeOfAPodIsTold(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		ctx := t.Context()
		w.pod(1)
		w.assertStory(
			"pod.created : pod web was created",
			"node.registered n1: node n1 was registered",
			"node.starting n1: node n1 starts on host a",
			"image.pulling n1: preparing: 100 %",
			"node.online n1: node n1 is online after 200ms",
		)
		_, err := w.Pause(ctx, "web")
		require.NoError(t, err)
		_, err = w.Resume(ctx, "web")
		require.NoError(t, err)
		w.converge()
		w.assertStory(
			"pod.paused : pod web was paused: its fronts answer 503",
			"pod.resumed : pod web was resumed",
		)

		w.load(0.5)
		w.elasticity(2, 3)
		w.converge()
		w.assertStory(
			"pod.elasticity : elasticity of pod web is on, for 2 to 3 nodes",
			"pod.scaled : elasticity enabled: 1 → 2",
			"node.starting n2: node n2 starts on host a",
			"image.pulling n2: preparing: 100 %",
			"node.online n2: node n2 is online after 200ms",
		)
		w.load(0.5)
		_, err = w.SetElasticity(ctx, "web", cms.Elasticity{Enabled: true, Mode: cms.ModeDryRun, Min: 1, Max: 3})
		require.NoError(t, err)
		w.elasticity(1, 1)
		w.converge()
		_, err = w.SetElasticity(ctx, "web", cms.Elasticity{})
		require.NoError(t, err)
		w.assertStory(
			"pod.elasticity : elasticity of pod web is on as a dry run, for 1 to 3 nodes",
			"pod.elasticity : elasticity of pod web is on, for 1 to 1 nodes",
			"pod.scaled : elasticity enabled: 2 → 1",
			"node.draining n2: node n2 drains: scaled in",
			"node.drained n2: node n2 has finished what it had",
			"node.gone n2: node n2 is gone",
			"pod.elasticity : elasticity of pod web is off",
		)

		w.hosts["a"].Exit(id("n1"), pod.Exit{Code: 3, LastLog: []string{"no such table"}})
		time.Sleep(time.Second)
		w.converge()
		w.assertStory(
			"node.failed n1: node n1 failed: exit code 3: no such table",
			"node.starting n3: node n3 starts on host a",
			"image.pulling n3: preparing: 100 %",
			"node.online n3: node n3 is online after 200ms",
		)
		time.Sleep(5 * time.Second)
		_, err = w.RemoveNode(ctx, "web", "n1")
		require.NoError(t, err)
		w.assertStory("node.gone n1: node n1 is gone")
		_, err = w.DeletePod(ctx, "web")
		require.NoError(t, err)
		time.Sleep(10 * time.Second)
		w.assertStory(
			"pod.deleting : pod web is being deleted",
			"node.draining n3: node n3 drains: scaled in",
			"node.drained n3: node n3 has finished what it had",
			"node.gone n3: node n3 is gone",
			"pod.deleted : pod web is gone",
		)
	})
}

// revisions makes ids of revisions in sentences be their numbers only.
func revisions(story []string) []string {
	for i, line := range story {
		var words []string
		for _, word := range strings.Fields(line) {
			if !strings.HasPrefix(word, "(") {
				words = append(words, word)
			}
		}
		story[i] = strings.Join(words, " ")
	}
	return slices.DeleteFunc(story, func(line string) bool {
		return !strings.HasPrefix(line, "rollout.") && !strings.HasPrefix(line, "node.draining")
	})
}

// Each step of a rollout is told, and why each node goes.
func TestRolloutsAreTold(t *testing.T) {
	for name, c := range map[string]struct {
		update cms.Update
		want   []string
	}{
		"rolling": {cms.Update{}, []string{
			"node.draining n3: node n3 drains: replaced by revision 2",
			"node.draining n2: node n2 drains: replaced by revision 2",
			"node.draining n1: node n1 drains: replaced by revision 2",
			"rollout.done : pod web runs revision 2",
		}},
		"one goes first": {cms.Update{MaxSurge: -1, MaxUnavailable: 1}, []string{
			"node.draining n3: node n3 drains: replaced by revision 2",
			"node.draining n2: node n2 drains: replaced by revision 2",
			"node.draining n1: node n1 drains: replaced by revision 2",
			"rollout.done : pod web runs revision 2",
		}},
		"canary": {cms.Update{Strategy: cms.Canary}, []string{
			"node.draining n3: node n3 drains: replaced by revision 2",
			"rollout.step : pod web gives new nodes 50 % of the requests",
			"node.draining n2: node n2 drains: replaced by revision 2",
			"rollout.step : pod web rolls all other nodes: its canary passed",
			"node.draining n1: node n1 drains: replaced by revision 2",
			"rollout.done : pod web runs revision 2",
		}},
		"blue-green": {cms.Update{Strategy: cms.BlueGreen}, []string{
			"rollout.step : pod web changes over to 3 new nodes",
			"node.draining n3: node n3 drains: replaced by revision 2",
			"node.draining n2: node n2 drains: replaced by revision 2",
			"node.draining n1: node n1 drains: replaced by revision 2",
			"rollout.done : pod web runs revision 2",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
				w.pod(3)
				w.update(func(s *cms.PodSpec) { s.Update = c.update })
				w.story()
				w.update(version(2))
				w.rolled(cms.RolloutDone)
				assert.Equal(t, slices.Concat([]string{"rollout.started : pod web changes from revision 1 to 2"}, c.want), revisions(w.story()))

				w.hosts["a"].FailStarts(1, pod.ErrImage)
				w.update(version(3))
				_, err := w.PauseRollout(t.Context(), "web")
				require.NoError(t, err)
				_, err = w.ResumeRollout(t.Context(), "web")
				require.NoError(t, err)
				w.rolled(cms.RolloutRolledBack)
				story := slices.DeleteFunc(revisions(w.story()), func(line string) bool { return strings.HasPrefix(line, "node.") })
				require.Len(t, story, 4)
				assert.Equal(t, []string{
					"rollout.started : pod web changes from revision 2 to 3",
					"rollout.paused : the rollout of pod web was paused",
					"rollout.resumed : the rollout of pod web goes on",
				}, story[:3])
				assert.Regexp(t, `^rollout.rolled-back : pod web goes back to revision 2: 1 of its nodes failed, the last, n\d+, with: there is no such image or program`, story[3])
			})
		})
	}
}
