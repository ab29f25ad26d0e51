package cms_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/reconcile"
)

// replay writes a World as JSON, reads it back and reconciles again: the plan must
// be the same. So a bug can be reported as a file.
func replay(w reconcile.World, p reconcile.Plan) error {
	text, err := json.Marshal(w)
	if err != nil {
		return fmt.Errorf("write the world: %w", err)
	}
	var again reconcile.World
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&again); err != nil {
		return fmt.Errorf("read the world: %w\n%s", err, text)
	}
	want, err := planText(p)
	if err != nil {
		return err
	}
	got, err := planText(reconcile.Reconcile(again))
	if err != nil {
		return err
	}
	if !bytes.Equal(want, got) {
		return fmt.Errorf("another plan of the same world\nworld: %s\nfirst: %s\nagain: %s", text, want, got)
	}
	return nil
}

// planText returns a plan as JSON, each action with the name of its type.
func planText(p reconcile.Plan) ([]byte, error) {
	type action struct {
		Type   string
		Action reconcile.Action
	}
	named := func(list []reconcile.Action) (out []action) {
		for _, a := range list {
			out = append(out, action{reflect.TypeOf(a).Name(), a})
		}
		return out
	}
	text, err := json.Marshal(struct {
		reconcile.Plan
		Before, After []action
	}{p, named(p.Before), named(p.After)})
	if err != nil {
		return nil, fmt.Errorf("write the plan: %w", err)
	}
	return text, nil
}

// replayer replays every turn of a manager's loops, and keeps the first that went
// another way.
type replayer struct {
	mu    sync.Mutex
	turns int
	err   error
}

func (r *replayer) turn(w reconcile.World, p reconcile.Plan) {
	err := replay(w, p)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turns++
	if r.err == nil {
		r.err = err
	}
}

// The comparison can fail.
func TestReplayFindsAnotherPlan(t *testing.T) {
	w := reconcile.World{Name: "web", Now: time.Unix(1000, 0), Pod: cms.PodRecord{Spec: spec(), CreatedAt: time.Unix(1, 0), Want: 2}}
	p := reconcile.Reconcile(w)
	require.NoError(t, replay(w, p))
	w.Pod.Want = 3
	require.ErrorContains(t, replay(w, reconcile.Plan{}), "another plan of the same world")
	w.Pod.Elasticity.PolicyJSON = json.RawMessage("{")
	require.ErrorContains(t, replay(w, p), "write the world")
}
