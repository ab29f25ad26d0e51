package reconcile

import (
	"errors"
	"fmt"
	"slices"

	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/internal/fault"
)

// obey carries out the commands that wait, in order. A command that waits for
// its fronts stays for a next turn.
func obey(t *turn) {
	for _, c := range t.w.Commands {
		a := Answer{ID: c.ID}
		switch {
		case t.mem.Answer != nil && t.mem.Answer.ID == c.ID:
			continue
		case t.pod.Deleting && !allowedAtTheEnd(c.Kind):
			a = conflict("pod %s is being deleted", t.w.Name)
		case t.readOnly():
			a.Kind, a.Text = AnswerUnsaved, t.w.Store.Text
		case !t.created() && c.Kind != CommandCreate:
			a.Kind, a.Text = AnswerNotFound, fmt.Sprintf("there is no pod %q", t.w.Name)
		default:
			if !t.obeyOne(c, &a) {
				continue
			}
		}
		a.ID = c.ID
		if t.mem.Answer == nil && (c.Kind == CommandUpdate && a.Kind != AnswerInvalid || c.Kind == CommandCreate && a.Kind != AnswerDone && a.Kind != AnswerExists) {
			t.hold(a)
			continue
		}
		t.answer(a)
	}
}

// answer adds an answer to the plan.
func (t *turn) answer(a Answer) { t.plan.Answers = append(t.plan.Answers, a) }

// allowedAtTheEnd says whether a pod that is being deleted takes a command.
func allowedAtTheEnd(k CommandKind) bool {
	return k == CommandDelete || k == CommandRemove || k == CommandFit
}

// obeyOne carries out a command and fills in its answer. It says whether the
// command is answered.
func (t *turn) obeyOne(c Command, a *Answer) (answered bool) {
	switch c.Kind {
	case CommandCreate:
		return t.create(c, a)
	case CommandUpdate:
		return t.update(c, a)
	case CommandDelete:
		if !t.pod.Deleting {
			t.rec().Delete()
			t.tell(Event{Type: EventPodDeleting, Message: fmt.Sprintf("pod %s is being deleted", t.w.Name)})
		}
	case CommandPause:
		t.pause(c.On)
	case CommandElasticity:
		t.setElasticity(*c.Elasticity, a)
	case CommandRegister:
		t.register(c.Node, a)
	case CommandLaunch:
		t.launchByHand(a)
	case CommandRemove:
		t.remove(c.Node, a)
	case CommandRollout:
		t.holdRollout(c.On, a)
	case CommandUndo:
		t.undo(c.Number, a)
	case CommandRestart:
		t.rec().Restart("restarted by hand", t.w.Wall.UTC())
		t.revised()
	case CommandFit:
		t.rec().FitBounds(c.Record.Spec.MaxNodes, true)
	case CommandRestore:
		t.restore(*c.Record, c.Fresh)
	}
	return true
}

func conflict(format string, args ...any) Answer {
	return Answer{Kind: AnswerConflict, Text: fmt.Sprintf(format, args...)}
}

// create makes the pod once the balancer has its fronts.
func (t *turn) create(c Command, a *Answer) bool {
	if t.created() {
		*a = Answer{Kind: AnswerExists, Text: fmt.Sprintf("pod %q exists already", t.w.Name)}
		return true
	}
	if t.pending != nil {
		return false
	}
	ready, front, why := t.prepare(c.ID, c.Spec.Fronts)
	if !why.OK() {
		*a = t.refused(front, why)
		return true
	}
	if !ready {
		return false
	}
	*t.rec() = state.NewPod(*c.Spec, t.w.Wall.UTC())
	t.tell(Event{Type: EventPodCreated, Message: fmt.Sprintf("pod %s was created", t.w.Name)})
	return true
}

// refused says why a front cannot be set.
func (t *turn) refused(front string, why Fault) Answer {
	if why.Code == FaultAddress {
		return conflict("the address %s of front %s is in use: %s; choose another address, or end what listens there", t.mem.Fronts[front].Claim.Listen, front, why.Text)
	}
	return Answer{Kind: AnswerFailed, Text: fmt.Sprintf("front %s cannot be set: %s", front, why.Text)}
}

// update replaces the spec once the balancer has the new fronts.
func (t *turn) update(c Command, a *Answer) bool {
	spec := *c.Spec
	if f := t.checkUpdate(spec); len(f) > 0 {
		*a = Answer{Kind: AnswerInvalid, Faults: f}
		return true
	}
	if t.pending != nil || t.mem.Answer != nil {
		return false
	}
	fronts := spec.Fronts
	if !state.SameRun(spec.Spec, t.pod.Spec.Spec) {
		fronts = state.Unchecked(fronts, t.pod.Spec.Fronts) // until all nodes are replaced
	}
	changed := slices.DeleteFunc(slices.Clone(fronts), func(f state.Front) bool {
		return slices.ContainsFunc(t.pod.FrontsNow(), f.Equal)
	})
	ready, front, why := t.prepare(c.ID, changed)
	if !why.OK() {
		*a = t.refused(front, why)
		return true
	}
	if !ready {
		return false
	}
	before := t.pod.Revision
	t.rec().Revise(spec, "changed by hand", t.w.Wall.UTC())
	t.rec().FitBounds(spec.MaxNodes, false)
	if t.pod.Revision != before {
		t.revised()
	}
	t.tell(Event{Type: EventPodUpdated, Message: fmt.Sprintf("pod %s was changed", t.w.Name)})
	return true
}

// checkUpdate says what forbids a new spec now.
func (t *turn) checkUpdate(spec state.PodSpec) (f fault.List) {
	if spec.Kind != t.pod.Spec.Kind {
		f.Add("kind", "create another pod", "cannot be changed from %s to %s", t.pod.Spec.Kind, spec.Kind)
	}
	if e := t.pod.Elasticity; e.Enabled && spec.MaxNodes < e.Max {
		f.Add("max_nodes", fmt.Sprintf("use at least %d, or lower elasticity's max first", e.Max), "%d is below elasticity's max", spec.MaxNodes)
	} else if spec.MaxNodes < t.pod.Want {
		f.Add("max_nodes", fmt.Sprintf("use at least %d, or remove nodes first", t.pod.Want), "%d is below the number of nodes", spec.MaxNodes)
	}
	return f
}

func (t *turn) pause(on bool) {
	if t.pod.Paused == on {
		return
	}
	before := t.pod.Want
	rec := t.rec()
	rec.SetPaused(on)
	typ, text := EventPodPaused, "was paused: its fronts answer 503"
	if !on {
		rec.SetWant(rec.Elasticity.Inside(before)) // bounds that were set meanwhile
		typ, text = EventPodResumed, "was resumed"
	}
	t.tell(Event{Type: typ, Message: fmt.Sprintf("pod %s %s", t.w.Name, text)})
	t.broughtInside(before)
}

func (t *turn) setElasticity(e state.Elasticity, a *Answer) {
	e = e.For(t.pod.Spec.Spec)
	var f fault.List
	if errors.As(e.CheckBounds(t.pod.Spec.Spec), &f) {
		*a = Answer{Kind: AnswerInvalid, Faults: f}
		return
	}
	before := t.pod.Want
	rec := t.rec()
	rec.SetElasticity(e)
	if !rec.Paused {
		rec.SetWant(e.Inside(before))
	}
	t.again() // with the policy
	t.tell(Event{Type: EventElasticityChanged, Message: e.Describe(t.w.Name)})
	t.broughtInside(before)
}

func (t *turn) holdRollout(paused bool, a *Answer) {
	r := t.pod.Rollout
	if r == nil || r.State.Over() {
		*a = conflict("pod %s has no rollout under way", t.w.Name)
		return
	}
	if (r.State == state.RolloutPaused) == paused {
		return
	}
	t.rec().Rollout.Hold(paused)
	t.stepReady(false)
	typ, text := EventRolloutPaused, "the rollout of pod %s was paused"
	if !paused {
		typ, text = EventRolloutResumed, "the rollout of pod %s goes on"
	}
	t.tell(Event{Type: typ, Message: fmt.Sprintf(text, t.w.Name)})
}

func (t *turn) undo(number uint64, a *Answer) {
	target := t.undoTarget(number)
	switch {
	case target == nil && number > 0:
		*a = conflict("revision %d of pod %s is not kept", number, t.w.Name)
	case target == nil:
		*a = conflict("pod %s has run nothing else before", t.w.Name)
	case target.Number == t.pod.Revision:
		*a = conflict("pod %s runs revision %d already", t.w.Name, target.Number)
	default:
		if why := t.goTo(*target, fmt.Sprintf("back to revision %d, by hand", target.Number)); why != "" {
			*a = conflict("%s", why)
		}
	}
}

// undoTarget returns the revision of that number; for 0 the one before the last
// rollout; nil when there is none.
func (t *turn) undoTarget(number uint64) *state.Revision {
	if r := t.pod.Rollout; number == 0 && r != nil {
		if number = r.From; number == t.pod.Revision {
			number = r.To
		}
	}
	return t.pod.RevisionOf(number)
}

// restore makes the pod's settings be those of a backup.
func (t *turn) restore(r state.Pod, fresh bool) {
	want := r.Want
	if !fresh {
		want = r.WantedAfter(t.pod.Want)
	}
	rec := t.rec()
	rec.SetElasticity(r.Elasticity)
	rec.SetPaused(r.Paused)
	rec.SetWant(want)
	rec.SkipTo(r.Serial)
}
