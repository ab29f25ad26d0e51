package elastic

import (
	"encoding/json"
	"fmt"
	"math"
)

// wireDecision and wireStep are how decisions look in JSON.
type wireDecision struct {
	Want   int    `json:"want"`
	Reason string `json:"reason"`
	Steps  []Step `json:"steps"`
}

type wireStep struct {
	Rule   Rule     `json:"rule"`
	From   int      `json:"from"`
	To     int      `json:"to"`
	Metric string   `json:"metric,omitempty"`
	Value  *float64 `json:"value,omitempty"`
	Bound  *float64 `json:"bound,omitempty"`
	Upper  *float64 `json:"upper,omitempty"`
	Note   string   `json:"note,omitempty"`
	Text   string   `json:"text"`
}

// MarshalJSON writes {"want", "reason", "steps"}, where each step is {"rule",
// "from", "to", "metric", "value", "bound", "upper", "note", "text"} without
// those that mean nothing under its rule. "reason" and "text" are
// [Decision.Reason] and [Step.String].
func (d Decision) MarshalJSON() ([]byte, error) {
	return json.Marshal(wireDecision{
		Want:   d.Want,
		Reason: d.Reason(),
		Steps:  d.Steps[:min(max(d.N, 0), MaxSteps)],
	})
}

// UnmarshalJSON reads what MarshalJSON wrote; sentences are not read but made
// anew from the other fields.
func (d *Decision) UnmarshalJSON(data []byte) error {
	var w wireDecision
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("elastic: decision: %w", err)
	}
	var out Decision
	for _, s := range w.Steps {
		out.Add(s)
	}
	out.Want = w.Want
	*d = out
	return nil
}

// MarshalJSON writes the step; see [Decision.MarshalJSON].
func (s Step) MarshalJSON() ([]byte, error) {
	w := wireStep{Rule: s.Rule, From: s.From, To: s.To, Metric: s.Metric, Note: s.Note, Text: s.String()}
	if s.Rule < ruleCount {
		w.Value = finite(s.Value, ruleInfo[s.Rule].value)
		w.Bound = finite(s.Bound, ruleInfo[s.Rule].bound)
		w.Upper = finite(s.Upper, s.Rule == RuleWithin)
	}
	return json.Marshal(w)
}

// UnmarshalJSON reads a step.
func (s *Step) UnmarshalJSON(data []byte) error {
	var w wireStep
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("elastic: step: %w", err)
	}
	*s = Step{Rule: w.Rule, From: w.From, To: w.To, Metric: w.Metric, Note: w.Note}
	for _, f := range []struct {
		to   *float64
		from *float64
	}{{&s.Value, w.Value}, {&s.Bound, w.Bound}, {&s.Upper, w.Upper}} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	return nil
}

// finite returns x for JSON, or nil where it means nothing or JSON can't say it.
func finite(x float64, means bool) *float64 {
	if !means || math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}
