package pod_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/pod"
)

// The whole table, written a second time: each pair is checked, allowed or not.
func TestStateTransitions(t *testing.T) {
	allowed := map[[2]pod.State]bool{
		{pod.StateNew, pod.StateStarting}:      true,
		{pod.StateNew, pod.StateFailed}:        true,
		{pod.StateNew, pod.StateGone}:          true,
		{pod.StateStarting, pod.StateOnline}:   true,
		{pod.StateStarting, pod.StateStandby}:  true,
		{pod.StateStarting, pod.StateDraining}: true,
		{pod.StateStarting, pod.StateFailed}:   true,
		{pod.StateOnline, pod.StateStandby}:    true,
		{pod.StateOnline, pod.StateDraining}:   true,
		{pod.StateOnline, pod.StateFailed}:     true,
		{pod.StateStandby, pod.StateOnline}:    true,
		{pod.StateStandby, pod.StateDraining}:  true,
		{pod.StateStandby, pod.StateFailed}:    true,
		{pod.StateDraining, pod.StateGone}:     true,
		{pod.StateDraining, pod.StateFailed}:   true,
		{pod.StateFailed, pod.StateGone}:       true,
	}
	for _, from := range pod.States() {
		for _, to := range pod.States() {
			assert.Equal(t, allowed[[2]pod.State{from, to}], from.CanBecome(to), "%s → %s", from, to)
		}
	}
	assert.True(t, pod.StateInvalid.CanBecome(pod.StateNew))
	assert.False(t, pod.State(200).CanBecome(pod.StateNew))
}

// Every state but the end leads to the end: no node can get stuck by the table.
func TestEveryStateReachesGone(t *testing.T) {
	reaches := map[pod.State]bool{pod.StateGone: true}
	for range pod.States() {
		for _, from := range pod.States() {
			for _, to := range pod.States() {
				if from.CanBecome(to) && reaches[to] {
					reaches[from] = true
				}
			}
		}
	}
	for _, s := range pod.States() {
		assert.True(t, reaches[s], "%s never ends", s)
	}
}

func TestStateText(t *testing.T) {
	for _, s := range pod.States() {
		text, err := json.Marshal(s)
		require.NoError(t, err)
		var back pod.State
		require.NoError(t, json.Unmarshal(text, &back))
		assert.Equal(t, s, back)
	}
	_, err := pod.ParseState("onlin")
	assert.ErrorContains(t, err, `unknown node state "onlin"`)
	assert.Equal(t, "state(99)", pod.State(99).String())
}
