package cms

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/elastipod/elastipod/cms/internal/act"
	"github.com/elastipod/elastipod/cms/internal/faults"
	"github.com/elastipod/elastipod/cms/reconcile"
	"github.com/elastipod/elastipod/elastic"
)

// checkpointTicks is every how many ticks the policy's memory is kept.
const checkpointTicks = 30

// decider holds the policy of a pod and what feeds it. Only the pod's loop uses it.
type decider struct {
	registry *elastic.Registry
	log      *slog.Logger
	builder  *elastic.Builder
	policy   elastic.Policy
	text     string // the JSON that policy was made of
	fault    reconcile.Fault
	// ahead is by how much the policy's time is ahead of ours, or behind. It stands
	// still while no manager runs, as nobody can tell how long that was.
	ahead time.Duration
	seq   uint64 // of the last tick
	last  elastic.Observation
}

func newDecider(r *elastic.Registry, log *slog.Logger, rec PodRecord, now time.Time) *decider {
	d := &decider{registry: r, log: log, builder: elastic.NewBuilder()}
	if !rec.PolicyAt.IsZero() {
		d.ahead = rec.PolicyAt.Sub(now)
	}
	return d
}

// follow makes the policy that the record names, with the memory that the record
// holds, where that is another one than before.
func (d *decider) follow(rec *PodRecord) {
	text := string(rec.Elasticity.For(rec.Spec.Spec).PolicyJSON)
	if text == d.text {
		return
	}
	var err error
	d.text, d.fault = text, reconcile.Fault{}
	if d.policy, err = d.registry.Parse([]byte(text)); err != nil { // of a kind that this program does not have any more
		d.fault = faults.Of(err)
	}
	if m, ok := d.policy.(interface{ UnmarshalBinary([]byte) error }); ok && len(rec.PolicyMemory) > 0 {
		if err := m.UnmarshalBinary(rec.PolicyMemory); err != nil {
			d.log.Warn("policy starts without its memory", "error", err)
		}
	}
}

// time is the time that the policy sees.
func (d *decider) time(now time.Time) time.Time { return now.Add(d.ahead) }

// next counts a tick.
func (d *decider) next() uint64 {
	d.seq++
	return d.seq
}

// tick observes the pod and asks its policy.
func (d *decider) tick(w *reconcile.World, span act.Span, t act.Tracing) *reconcile.Deciding {
	seq := d.next()
	out := &reconcile.Deciding{Seq: seq, Keep: seq%checkpointTicks == 1}
	observing := t.Part(span, "observe")
	in, missing := w.Observe()
	out.Observation, out.Missing = d.builder.Observe(in), strings.Join(missing, "; ")
	observing.End(nil)
	d.last = out.Observation
	deciding := t.Part(span, "decide")
	defer deciding.End(nil)
	if !w.Asks() || out.Missing != "" {
		return out
	}
	out.Asked = true
	out.Decision = d.ask(out.Observation)
	out.Memory = d.memory()
	return out
}

// ask calls the policy, which may be anybody's code, and survives its panics.
func (d *decider) ask(o elastic.Observation) (out elastic.Decision) {
	defer func() {
		if p := recover(); p != nil {
			d.log.Error("the policy panicked", "panic", p)
			out = elastic.Decision{}
			out.Add(elastic.Step{Rule: elastic.RuleUnobserved, From: o.Want, To: o.Want, Note: fmt.Sprintf("the policy panicked: %v", p)})
		}
	}()
	return d.policy.Decide(o)
}

// memory returns what the policy remembers; nil where it has no memory.
func (d *decider) memory() []byte {
	m, ok := d.policy.(interface{ MarshalBinary() ([]byte, error) })
	if !ok {
		return nil
	}
	memory, err := m.MarshalBinary()
	if err != nil {
		d.log.Warn("marshal the policy's memory", "error", err)
		return nil
	}
	return slices.Clone(memory)
}

// checkpoint returns what is kept of the policy when the manager ends; nil where
// there is nothing.
func (d *decider) checkpoint(now time.Time) *reconcile.Checkpoint {
	memory := d.memory()
	if len(memory) == 0 {
		return nil
	}
	return &reconcile.Checkpoint{Memory: memory, At: d.time(now)}
}
