package elastic

import (
	"encoding/json"
	"fmt"
	"time"
)

// maxDuration bounds the durations of the policies here.
const maxDuration = 24 * time.Hour

func checkDuration(f *Faults, path string, d time.Duration) {
	if d < 0 || d > maxDuration {
		f.Add(path, `use a duration from "0s" to "24h", such as "60s"`, "%s is out of range", d)
	}
}

// validateWrapped adds the faults of the wrapped policy to a wrapper's own.
func validateWrapped(f Faults, p Policy) error {
	if p == nil {
		f.Add("policy", "set the policy to wrap", "is missing")
		return f.Err()
	}
	if v, ok := p.(interface{ Validate() error }); ok {
		f.NestErr("policy", v.Validate())
	}
	return f.Err()
}

// wireWindows are the settings of a wrapper whose fields are durations.
type wireWindows struct {
	Up     Duration        `json:"up,omitempty"`
	Down   Duration        `json:"down,omitempty"`
	Policy json.RawMessage `json:"policy"`
}

func (w wireWindows) marshal(kind string, p Policy) (_ []byte, err error) {
	if w.Policy, err = wireForm(p); err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		Kind string `json:"kind"`
		wireWindows
	}{kind, w})
}

// wireSteps are the settings of a [StepLimit].
type wireSteps struct {
	Up     int             `json:"up,omitempty"`
	Down   int             `json:"down,omitempty"`
	Period Duration        `json:"period,omitempty"`
	Policy json.RawMessage `json:"policy"`
}

func (w wireSteps) marshal(kind string, p Policy) (_ []byte, err error) {
	if w.Policy, err = wireForm(p); err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		Kind string `json:"kind"`
		wireSteps
	}{kind, w})
}

// wireForm returns the JSON of a wrapped policy.
func wireForm(p Policy) (json.RawMessage, error) {
	if _, ok := p.(json.Marshaler); !ok {
		return nil, fmt.Errorf("elastic: a policy of type %T has no wire form: it is no json.Marshaler", p)
	}
	return json.Marshal(p)
}

// decodeWrapper reads the settings of a wrapper into w and makes the policy that it
// wraps, which w then has in inside. The faults are those of both.
func decodeWrapper(raw json.RawMessage, r *Registry, w any, inside *json.RawMessage) (p Policy, f Faults) {
	f.NestErr("", Decode(raw, w))
	if *inside == nil { // missing, which Decode has said
		return nil, f
	}
	p, err := r.Parse(*inside)
	f.NestErr("policy", err)
	return p, f
}
