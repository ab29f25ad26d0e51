package elastic

import (
	"bytes"
	"encoding/json"
	"errors"
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
		nest(&f, "policy", v.Validate())
	}
	return f.Err()
}

// nest puts what err says of a part under its path; an error that is not
// [Faults] becomes one fault.
func nest(f *Faults, path string, err error) {
	var part Faults
	switch {
	case err == nil:
	case errors.As(err, &part):
		f.Nest(path, part)
	default:
		f.Add(path, "", "%v", err)
	}
}

// wireField is a field of a wrapper's wire form, left out where value is nil.
type wireField struct {
	name  string
	value any
}

func durationField(d time.Duration) any {
	if d == 0 {
		return nil
	}
	return Duration(d)
}

func countField(n int) any {
	if n == 0 {
		return nil
	}
	return n
}

// marshalWrapper writes {"kind", fields, "policy"} in this order.
func marshalWrapper(kind string, fields []wireField, p Policy) ([]byte, error) {
	if _, ok := p.(json.Marshaler); !ok {
		return nil, fmt.Errorf("elastic: a policy of type %T has no wire form: it is no json.Marshaler", p)
	}
	fields = append([]wireField{{"kind", kind}}, fields...)
	fields = append(fields, wireField{"policy", p})
	var b bytes.Buffer
	for _, f := range fields {
		if f.value == nil {
			continue
		}
		value, err := json.Marshal(f.value)
		if err != nil {
			return nil, err
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:%s", f.name, value)
	}
	return fmt.Appendf(nil, "{%s}", b.Bytes()), nil
}
