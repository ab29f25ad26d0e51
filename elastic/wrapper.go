package elastic

import (
	"encoding/json"
	"fmt"
	"slices"
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
	Up     Duration `json:"up,omitempty"`
	Down   Duration `json:"down,omitempty"`
	Policy wrapped  `json:"policy"`
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
	Up     int      `json:"up,omitempty"`
	Down   int      `json:"down,omitempty"`
	Period Duration `json:"period,omitempty"`
	Policy wrapped  `json:"policy"`
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

// wrapped is the JSON object of a wrapped policy.
type wrapped json.RawMessage

func (w *wrapped) UnmarshalJSON(data []byte) error {
	if data[0] != '{' {
		return fmt.Errorf("%.40s is not a policy; "+allowedPolicy, data)
	}
	*w = slices.Clone(data)
	return nil
}

func (w wrapped) MarshalJSON() ([]byte, error) { return w, nil }

// wireForm returns the JSON of a wrapped policy.
func wireForm(p Policy) (wrapped, error) {
	if _, ok := p.(json.Marshaler); !ok {
		return nil, fmt.Errorf("elastic: a policy of type %T has no wire form: it is no json.Marshaler", p)
	}
	return json.Marshal(p)
}

// decodeWrapper reads the settings of a wrapper into w and makes the policy that it
// wraps, which w then has in inside. The faults are those of both.
func decodeWrapper(raw json.RawMessage, r *Registry, w any, inside *wrapped) (p Policy, f Faults) {
	f.NestErr("", Decode(raw, w))
	if *inside == nil { // missing, which Decode has said
		return nil, f
	}
	p, err := r.Parse(json.RawMessage(*inside))
	f.NestErr("policy", err)
	return p, f
}
