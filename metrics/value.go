package metrics

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// Value is a measurement that may be missing. The zero Value is missing: what
// was not measured is never taken for 0.
type Value struct {
	v  float64
	ok bool
}

// Missing is a value that was not measured.
var Missing = Value{}

// V returns the value x. NaN and infinities are missing.
func V(x float64) Value {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return Value{}
	}
	return Value{v: x, ok: true}
}

// Get returns the value and whether it was measured.
func (v Value) Get() (float64, bool) { return v.v, v.ok }

// OK says whether the value was measured.
func (v Value) OK() bool { return v.ok }

// Or returns the value, or otherwise where it is missing.
func (v Value) Or(otherwise float64) float64 {
	if v.ok {
		return v.v
	}
	return otherwise
}

// String returns the value with up to four digits, or "–" where it is missing.
func (v Value) String() string {
	if !v.ok {
		return "–"
	}
	return strconv.FormatFloat(v.v, 'g', 4, 64)
}

// MarshalJSON writes a number, or null where the value is missing.
func (v Value) MarshalJSON() ([]byte, error) {
	if !v.ok {
		return []byte("null"), nil
	}
	return json.Marshal(v.v)
}

// UnmarshalJSON reads a number or null.
func (v *Value) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		*v = Value{}
		return nil
	}
	var x float64
	if err := json.Unmarshal(data, &x); err != nil {
		return fmt.Errorf("metrics: value: %w", err)
	}
	*v = V(x)
	return nil
}
