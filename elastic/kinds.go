package elastic

import (
	"encoding/json"
	"time"
)

// builtin returns the kinds of this package.
func builtin() []Kind {
	return []Kind{
		{
			Name:    "threshold",
			Summary: "Adds nodes above the upper threshold of CPU or memory, removes some below the lower one.",
			Schema: json.RawMessage(`{"type":"object","required":["lower","upper"],"properties":{
				"metric":{"enum":["cpu","memory"],"default":"cpu","description":"What is held against the thresholds: the mean over online nodes, as a fraction of a node's limit."},
				"lower":{"type":"number","minimum":0,"maximum":1,"description":"Below this, nodes are removed."},
				"upper":{"type":"number","minimum":0,"maximum":1,"description":"Above this, nodes are added. At least 0.1 above lower."},
				"step":{"type":"integer","minimum":1,"maximum":1000,"default":1,"description":"How many nodes are added or removed at a time."}}}`),
			New: newThreshold,
		},
		{
			Name:    "target",
			Summary: "Keeps CPU, memory, requests in flight or requests a second per node near a value.",
			Schema: json.RawMessage(`{"type":"object","required":["metric","value"],"properties":{
				"metric":{"enum":["cpu","memory","in_flight","rate"],"description":"What is kept near the value, per node."},
				"value":{"type":"number","exclusiveMinimum":0,"maximum":1000000000,"description":"A fraction of a node's limit up to 1 for cpu and memory, else a number of requests, or of requests a second."},
				"tolerance":{"type":"number","minimum":0,"exclusiveMaximum":1,"default":0.1,"description":"Fraction of the value around it in which nothing changes."}}}`),
			New: newTarget,
		},
		{
			Name:    "clamp",
			Summary: "Keeps what another policy wants inside of the pod's min and max.",
			Schema:  wrapperSchema(``),
			New: func(raw json.RawMessage, r *Registry) (Policy, error) {
				var w struct {
					Policy json.RawMessage `json:"policy"`
				}
				inner, f := decodeWrapper(raw, r, &w, &w.Policy)
				return &Clamp{Policy: inner}, f.Err()
			},
		},
		{
			Name:    "cooldown",
			Summary: "Leaves time between the changes that another policy makes.",
			Schema: wrapperSchema(`
				"up":{"type":"string","default":"0s","description":"How long after nodes were added more may be, such as \"10s\"."},
				"down":{"type":"string","default":"0s","description":"How long after the last change nodes may be removed, such as \"60s\"."}`),
			New: func(raw json.RawMessage, r *Registry) (Policy, error) {
				var w wireWindows
				inner, f := decodeWrapper(raw, r, &w, &w.Policy)
				p := &Cooldown{Up: time.Duration(w.Up), Down: time.Duration(w.Down), Policy: inner}
				return p, append(p.faults(), f...).Err()
			},
		},
		{
			Name:    "stabilize",
			Summary: "Smooths another policy: removes down to the highest wish of a window only, adds up to the lowest.",
			Schema: wrapperSchema(`
				"up":{"type":"string","default":"0s","description":"Window for adding, such as \"10s\"."},
				"down":{"type":"string","default":"0s","description":"Window for removing, such as \"5m\"."}`),
			New: func(raw json.RawMessage, r *Registry) (Policy, error) {
				var w wireWindows
				inner, f := decodeWrapper(raw, r, &w, &w.Policy)
				p := &Stabilize{Up: time.Duration(w.Up), Down: time.Duration(w.Down), Policy: inner}
				return p, append(p.faults(), f...).Err()
			},
		},
		{
			Name:    "step-limit",
			Summary: "Bounds how many nodes another policy adds or removes at a time, or within a period.",
			Schema: wrapperSchema(`
				"up":{"type":"integer","minimum":0,"maximum":1000,"default":0,"description":"Most nodes to add; 0: no limit."},
				"down":{"type":"integer","minimum":0,"maximum":1000,"default":0,"description":"Most nodes to remove; 0: no limit."},
				"period":{"type":"string","default":"0s","description":"The time to which up and down apply, such as \"15s\"; 0s: each decision by itself."}`),
			New: func(raw json.RawMessage, r *Registry) (Policy, error) {
				var w wireSteps
				inner, f := decodeWrapper(raw, r, &w, &w.Policy)
				p := &StepLimit{Up: w.Up, Down: w.Down, Period: time.Duration(w.Period), Policy: inner}
				return p, append(p.faults(), f...).Err()
			},
		},
	}
}

func newThreshold(raw json.RawMessage, _ *Registry) (Policy, error) {
	var w struct {
		Metric *Metric `json:"metric,omitempty"`
		Lower  float64 `json:"lower"`
		Upper  float64 `json:"upper"`
		Step   *int    `json:"step,omitempty"`
	}
	if err := Decode(raw, &w); err != nil {
		return nil, err
	}
	p := Threshold{Lower: w.Lower, Upper: w.Upper}
	var f Faults
	if w.Metric != nil {
		if p.Metric = *w.Metric; p.Metric == "" {
			f.Add("metric", `use "cpu" or "memory", or leave it out`, "is empty")
		}
	}
	if w.Step != nil {
		if p.Step = *w.Step; p.Step == 0 {
			f.Add("step", "use 1 to 1000 nodes", "0 is out of range")
		}
	}
	f.NestErr("", p.Validate())
	return p, f.Err()
}

func newTarget(raw json.RawMessage, _ *Registry) (Policy, error) {
	var w struct {
		Metric    Metric   `json:"metric"`
		Value     float64  `json:"value"`
		Tolerance *float64 `json:"tolerance,omitempty"`
	}
	if err := Decode(raw, &w); err != nil {
		return nil, err
	}
	p := Target{Metric: w.Metric, Value: w.Value}
	var f Faults
	if w.Tolerance != nil {
		switch p.Tolerance = *w.Tolerance; {
		case p.Tolerance == 0:
			p.Tolerance = -1
		case p.Tolerance < 0:
			f.Add("tolerance", "use a fraction of the value from 0 to less than 1, such as 0.1", "%v is out of range", p.Tolerance)
		}
	}
	f.NestErr("", p.Validate())
	return p, f.Err()
}

// wrapperSchema returns the schema of an object with these properties and a
// wrapped policy.
func wrapperSchema(properties string) json.RawMessage {
	if properties != "" {
		properties += ","
	}
	return json.RawMessage(`{"type":"object","required":["policy"],"properties":{` + properties +
		`"policy":{"$ref":"#/$defs/policy","description":"The policy that is wrapped."}}}`)
}
