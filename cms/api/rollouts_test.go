package api_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/api"
	"github.com/elastipod/elastipod/cms/wire"
)

func TestRollouts(t *testing.T) {
	f := newFake()
	a := newAPI(t, f)
	got := read[wire.Rollouts](t, call(t, a, "GET", "/v1/pods/web/rollout", nil))
	require.NotNil(t, got.Rollout)
	assert.Equal(t, wire.Rollout{
		State: "progressing", Reason: "changed by hand", Strategy: "canary", From: 1, To: 2,
		Steps: 2, New: 2, Ready: 1, Old: 1, StartedAt: at, EndedAt: &at,
	}, *got.Rollout)
	require.Len(t, got.Revisions, 2)
	assert.Equal(t, "created", got.Revisions[0].Reason)
	assert.False(t, got.Revisions[0].Current)
	assert.True(t, got.Revisions[1].Current)
	assert.Equal(t, read[wire.Pod](t, call(t, a, "GET", "/v1/pods/web", nil)).Workload, got.Revisions[1].Workload)

	p := read[wire.Pod](t, call(t, a, "POST", "/v1/pods/web/rollout/pause", nil))
	assert.Equal(t, "paused", p.Status.Rollout.State)
	assert.Equal(t, 202, call(t, a, "POST", "/v1/pods/web/rollout/resume", nil).StatusCode, "it goes on")
	assert.Equal(t, 200, call(t, a, "POST", "/v1/pods/web/rollout/undo", nil).StatusCode)
	assert.Equal(t, 200, call(t, a, "POST", "/v1/pods/web/rollout/undo", `{"revision":2}`).StatusCode)
	assert.Contains(t, f.calls, "UndoRollout 0 web")
	assert.Contains(t, f.calls, "UndoRollout 2 web")
	assert.Equal(t, 409, call(t, a, "POST", "/v1/pods/web/rollout/undo", `{"revision":3}`).StatusCode)
	assert.Equal(t, 422, call(t, a, "POST", "/v1/pods/web/rollout/undo", `{"to":3}`).StatusCode)
	assert.Equal(t, 404, call(t, a, "GET", "/v1/pods/wbe/rollout", nil).StatusCode)
	assert.Equal(t, 404, call(t, a, "POST", "/v1/pods/wbe/rollout/pause", nil).StatusCode)

}

// What was set is what is read, also where zero is not the default.
func TestUpdateSettings(t *testing.T) {
	zero, two := 0, 2
	for _, u := range []wire.Update{
		{},
		{Strategy: "rolling", MaxSurge: &zero, MaxUnavailable: 1, MinReady: wire.Duration(3 * time.Second), Failures: &zero, MaxErrors: 0.5},
		{Strategy: "canary", MaxSurge: &two, Failures: &two, Steps: []wire.CanaryStep{{Weight: 5, Pause: wire.Duration(time.Minute)}, {Weight: 50}}},
		{Strategy: "blue-green"},
	} {
		p := wire.Pod{Name: "web", Workload: wire.Workload{Image: "x"}, Update: u}
		s, err := api.PodSpec(p)
		require.NoError(t, err)
		assert.Equal(t, u, api.PodSettings(s).Update)
	}
	minus := -1
	_, err := api.PodSpec(wire.Pod{Name: "web", Workload: wire.Workload{Image: "x"}, Update: wire.Update{MaxSurge: &minus, Failures: &minus, Strategy: "slow"}})
	var faults cms.Faults
	require.ErrorAs(t, err, &faults)
	var paths []string
	for _, f := range faults {
		paths = append(paths, f.Path)
	}
	assert.ElementsMatch(t, []string{"update.max_surge", "update.failures", "update.strategy"}, paths)
}

// Another strategy takes the place of one whose settings it cannot have.
func TestStrategyIsPatched(t *testing.T) {
	f := newFake()
	a := newAPI(t, f)
	patch := func(body string) wire.Update {
		t.Helper()
		r := call(t, a, "PATCH", "/v1/pods/web", body)
		require.Less(t, r.StatusCode, 300)
		return read[wire.Pod](t, r).Update
	}
	u := patch(`{"update":{"strategy":"canary","steps":[{"weight":5}]}}`)
	assert.Len(t, u.Steps, 1)
	assert.InDelta(t, 0.05, u.MaxErrors, 1e-9)
	assert.Len(t, patch(`{"update":{"max_errors":0.1}}`).Steps, 1)
	u = patch(`{"update":{"strategy":"rolling"}}`)
	assert.Empty(t, u.Steps)
	assert.InDelta(t, 1, u.MaxErrors, 1e-9)
}
