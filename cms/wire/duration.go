package wire

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// Duration is a duration in settings, written as Go writes it: "200ms", "30s",
// "1m30s". Decoding refuses what is not above 0: a 0 would be taken for the
// default.
type Duration time.Duration

// ParseDuration returns the duration that s says.
func ParseDuration(s string) (Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%.40q is not such a duration; %s", s, AllowedDuration)
	}
	return Duration(d), nil
}

// Std returns it as the standard library has it.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String returns the duration without trailing zero parts: "1m", not "1m0s".
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// MarshalJSON writes a string.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// MarshalYAML writes a string.
func (d Duration) MarshalYAML() (any, error) { return d.String(), nil }

// UnmarshalJSON reads a string.
func (d *Duration) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	x, err := ParseDuration(text(data))
	if err == nil {
		*d = x
	}
	return err
}

// UnmarshalYAML reads a string.
func (d *Duration) UnmarshalYAML(node ast.Node) error { return fromYAML(d, node, ParseDuration) }

// Seconds is a measured duration: a number of seconds.
type Seconds float64

// SecondsOf returns d in seconds.
func SecondsOf(d time.Duration) Seconds { return Seconds(d.Seconds()) }

// Std returns it as the standard library has it, to the nanosecond.
func (s Seconds) Std() time.Duration { return time.Duration(float64(s) * float64(time.Second)) }
