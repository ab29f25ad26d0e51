package elastic

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"
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
	if err := json.Unmarshal(data, &text); err != nil {
		return errors.New("a duration is text with a unit")
	}
	x, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%.40q is not a duration", text)
	}
	*d = Duration(x)
	return nil
}

// Decode reads the settings of a policy strictly into a struct, for [Kind.New].
// Fields go by their exact json tags; those without omitempty must be there.
// "kind" is passed over. It returns every fault as [Faults]: fields that are
// unknown, given twice, missing, or of a wrong type.
func Decode(raw json.RawMessage, into any) error {
	target := reflect.ValueOf(into)
	if target.Kind() != reflect.Pointer || target.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("elastic: decode into %T: not a pointer to a struct", into)
	}
	target = target.Elem()
	given, f := members(raw)
	if f != nil {
		return f
	}
	fields := map[string]reflect.Value{}
	names := []string{}
	var missing []string
	for i := range target.NumField() {
		name, options, _ := strings.Cut(target.Type().Field(i).Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		fields[name] = target.Field(i)
		names = append(names, name)
		if !slices.Contains(strings.Split(options, ","), "omitempty") {
			missing = append(missing, name)
		}
	}
	for _, m := range given {
		missing = slices.DeleteFunc(missing, func(name string) bool { return name == m.name })
		field, known := fields[m.name]
		switch {
		case m.name == "kind":
		case !known:
			f.Add(m.name, "use "+oneOf(names), "is unknown%s", didYouMean(m.name, names))
		case string(m.value) == "null":
			f.Add(m.name, shape(field.Type())+", or leave it out", "is null")
		default:
			if err := json.Unmarshal(m.value, field.Addr().Interface()); err != nil {
				f.Add(m.name, shape(field.Type()), "%s", wrongType(m.value, err))
			}
		}
	}
	for _, name := range missing {
		f.Add(name, shape(fields[name].Type()), "is missing")
	}
	return f.Err()
}

// maxMembers bounds the fields of one policy, so that no input makes reading
// slow or its faults many.
const maxMembers = 100

// member is one name and value of a JSON object.
type member struct {
	name  string
	value json.RawMessage
}

// members takes a JSON object apart, in order; names are unique.
func members(raw json.RawMessage) ([]member, Faults) {
	var f Faults
	dec := json.NewDecoder(bytes.NewReader(raw))
	opening, err := dec.Token()
	if err == nil && opening != json.Delim('{') {
		f.Add("", `use an object such as {"kind":"threshold","lower":0.3,"upper":0.7}`, "%.40s is not an object", raw)
		return nil, f
	}
	var all []member
	for err == nil && dec.More() {
		var name json.Token
		var m member
		if name, err = dec.Token(); err != nil {
			break
		}
		m.name, _ = name.(string)
		if err = dec.Decode(&m.value); err != nil {
			break
		}
		if slices.ContainsFunc(all, func(x member) bool { return x.name == m.name }) {
			f.Add(m.name, "give it once", "is given twice")
		} else {
			all = append(all, m)
		}
		if len(all)+len(f) > maxMembers {
			return nil, Faults{{Problem: "has too many fields", Allowed: fmt.Sprintf("use at most %d", maxMembers)}}
		}
	}
	if err == nil {
		_, err = dec.Token() // the closing brace
	}
	if err == nil {
		if _, end := dec.Token(); end != io.EOF {
			err = errors.New("something follows the object")
		}
	}
	if err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("it ends too early")
		}
		return nil, Faults{{Problem: "is not JSON: " + err.Error(), Allowed: `use an object such as {"kind":"threshold","lower":0.3,"upper":0.7}`}}
	}
	return all, f
}

var durationType = reflect.TypeFor[Duration]()

// shape says what to write for a field of that type.
func shape(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == durationType {
		return `use a duration such as "60s" or "5m"`
	}
	if t == reflect.TypeFor[json.RawMessage]() {
		return `use a policy such as {"kind":"threshold","lower":0.3,"upper":0.7}`
	}
	switch t.Kind() {
	case reflect.Bool:
		return "use true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "use a whole number"
	case reflect.Float32, reflect.Float64:
		return "use a number"
	case reflect.String:
		return "use text in quotes"
	case reflect.Slice, reflect.Array:
		return "use a list"
	}
	return "use an object"
}

// wrongType says what is wrong with a value that did not fit.
func wrongType(value json.RawMessage, err error) string {
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &mismatch) {
		return fmt.Sprintf("%.40s has the wrong type", value)
	}
	return fmt.Sprintf("%.40s is wrong: %v", value, err)
}

func oneOf(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = `"` + name + `"`
	}
	switch n := len(quoted); n {
	case 0:
		return "none"
	case 1:
		return quoted[0]
	default:
		return strings.Join(quoted[:n-1], ", ") + " or " + quoted[n-1]
	}
}

// didYouMean returns ": did you mean …?" where a known name is near.
func didYouMean(name string, known []string) string {
	best, distance := "", max(2, len(name)/3)+1
	for _, k := range known {
		if d := editDistance(strings.ToLower(name), k); d < distance && d < len(k) {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(": did you mean %q?", best)
}

// editDistance is the least number of letters to insert, delete or replace
// (Levenshtein), of the first 64 letters.
func editDistance(a, b string) int {
	a, b = a[:min(len(a), 64)], b[:min(len(b), 64)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
