package elastic

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/elastipod/elastipod/internal/strict"
)

// Duration is a [time.Duration] that is written as text in JSON, such as "60s"
// or "1m30s".
type Duration time.Duration

// String returns the text without units that are 0: "1m" and not "1m0s".
func (d Duration) String() string {
	text := time.Duration(d).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// MarshalJSON writes the text.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// UnmarshalJSON reads the text. A bare number is refused: it has no unit.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var text string
	err := json.Unmarshal(data, &text)
	x, wrong := time.ParseDuration(text)
	if err != nil || wrong != nil {
		return fmt.Errorf(`%.40s is not a duration; use a duration such as "60s" or "5m"`, data)
	}
	*d = Duration(x)
	return nil
}

// Decode reads the settings of a policy strictly into a struct, for [Kind.New].
// Fields go by their exact json tags; those without omitempty must be there.
// "kind" is passed over. It returns every fault as [Faults]: fields that are
// unknown, given twice, missing, or of a wrong type.
func Decode(raw json.RawMessage, into any) error {
	if t := reflect.TypeOf(into); t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("elastic: decode into %T: not a pointer to a struct", into)
	}
	object, f := parseObject(raw)
	if f == nil {
		delete(object, "kind")
		f = strict.Fill(object, into, strict.Options{NoNull: true, Raw: allowedPolicy})
	}
	return f.Err()
}

const allowedPolicy = `use a policy such as {"kind":"threshold","lower":0.3,"upper":0.7}`

// parseObject reads the JSON object of a policy.
func parseObject(raw json.RawMessage) (map[string]any, Faults) {
	v, err := strict.ParseJSON(raw)
	var wrong *strict.SyntaxError
	switch object, ok := v.(map[string]any); {
	case !errors.As(err, &wrong) && ok:
		return object, nil
	case wrong == nil:
		return nil, Faults{{Problem: fmt.Sprintf("%.40s is not an object", raw), Allowed: allowedPolicy}}
	case wrong.Path != "":
		return nil, Faults{{Path: wrong.Path, Problem: wrong.Problem, Allowed: "give it once"}}
	}
	return nil, Faults{{Problem: "is not JSON: " + wrong.Problem, Allowed: allowedPolicy}}
}
