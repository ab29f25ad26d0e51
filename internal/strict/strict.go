// Package strict reads what people write, the JSON of requests and policies and
// settings in YAML, into Go types. What encoding/json passes over in silence is a fault
// here: a field that is unknown, missing or given twice. All faults are told at once,
// each with the path of its field and what would be right.
package strict

import (
	"encoding"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/elastipod/elastipod/internal/fault"
)

// MaxFaults is how many faults of one value are told: looking on would only take time.
const MaxFaults = 100

// Unknown is the problem of a field that the type does not have.
const Unknown = "is unknown"

// Options say how strict it is.
type Options struct {
	// Partial lets fields be missing. Otherwise those must be there whose json tag
	// has neither omitempty nor omitzero.
	Partial bool
	// NoNull refuses null for a field, which otherwise stands for one left out, as in
	// encoding/json.
	NoNull bool
	// Raw says what is right for a [json.RawMessage], such as "use a policy".
	Raw string
}

// Fill checks a value as [ParseJSON] returns it against the struct that the pointer
// into points to, and decodes it there but for the fields that are wrong, which it
// removes from v. Fields go by the exact names of their json tags; the tags minimum and
// maximum bound numbers. Fields with the tag readOnly:"true" are removed unseen. A type
// with an UnmarshalJSON of its own is asked: what its error says after "; " is what
// would be right.
func Fill(v, into any, o Options) fault.List {
	c := checker{o: o}
	c.value("", reflect.TypeOf(into).Elem(), "", v)
	if err := decode(v, into); err != nil && len(c.faults) == 0 { // something that the checks let through
		c.add("", "", "cannot be read: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return c.faults
}

func decode(v, into any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

type checker struct {
	o      Options
	faults fault.List
}

func (c *checker) full() bool { return len(c.faults) >= MaxFaults }

func (c *checker) add(path, allowed, problem string, args ...any) {
	if !c.full() {
		c.faults.Add(path, allowed, problem, args...)
	}
}

func (c *checker) value(path string, t reflect.Type, tag reflect.StructTag, v any) {
	t = plain(t)
	if own := readsItself(t); own != nil && v != nil {
		if err := decode(v, own); err != nil {
			problem, allowed, _ := strings.Cut(err.Error(), "; ")
			c.add(path, allowed, "%s", problem)
		}
		return
	}
	if t.Kind() == reflect.Interface {
		return
	}
	fits := false
	switch x := v.(type) {
	case map[string]any:
		if fits = t.Kind() == reflect.Struct || t.Kind() == reflect.Map; fits {
			c.members(path, t, x)
		}
	case []any:
		fits = t.Kind() == reflect.Slice || t.Kind() == reflect.Array
		for i := 0; fits && i < len(x) && !c.full(); i++ {
			c.value(Item(path, i), t.Elem(), "", x[i])
		}
	case string:
		fits = t.Kind() == reflect.String
	case bool:
		fits = t.Kind() == reflect.Bool
	case json.Number:
		if fits = isNumber(t); fits {
			c.number(path, t, tag, x)
		}
	}
	if fits {
		return
	}
	if t.Kind() == reflect.String { // YAML made it a number, maybe another one than was written
		switch v.(type) {
		case bool:
			c.add(path, c.shape(t)+", in quotes", "is true or false")
			return
		case json.Number:
			c.add(path, c.shape(t)+", in quotes", "is a number")
			return
		}
	}
	c.add(path, c.shape(t), "is %s", Describe(v))
}

// members checks the members of an object. A null stands for a field that was left
// out, but not for a value of a map.
func (c *checker) members(path string, t reflect.Type, object map[string]any) {
	known := fields(t)
	var names []string
	var missing []field
	for _, f := range known {
		names = append(names, f.name)
		if v, given := object[f.name]; f.needed && v == nil && !c.o.Partial && !(given && c.o.NoNull) {
			missing = append(missing, f)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if c.full() {
			return
		}
		at, v, before := Below(path, name), object[name], len(c.faults)
		i := slices.Index(names, name)
		switch {
		case t.Kind() == reflect.Map:
			c.value(at, t.Elem(), "", v)
		case i < 0:
			c.add(at, Suggest(name, FieldNames(t)), Unknown)
		case known[i].Tag.Get("readOnly") == "true":
			delete(object, name)
		case v != nil:
			c.value(at, known[i].Type, known[i].Tag, v)
		case c.o.NoNull:
			c.add(at, c.shape(known[i].Type)+", or leave it out", "is null")
		}
		if len(c.faults) > before {
			delete(object, name)
		}
	}
	for _, f := range missing {
		c.add(Below(path, f.name), c.shape(f.Type), "is missing")
	}
}

func (c *checker) number(path string, t reflect.Type, tag reflect.StructTag, n json.Number) {
	var whole error
	switch {
	case t.Kind() < reflect.Uint:
		_, whole = strconv.ParseInt(n.String(), 10, t.Bits())
	case t.Kind() < reflect.Float32:
		_, whole = strconv.ParseUint(n.String(), 10, t.Bits())
	}
	if whole != nil {
		c.add(path, c.shape(t), "is %s", Describe(n))
		return
	}
	x, err := n.Float64()
	if err != nil {
		c.add(path, "use a smaller number", "%.40s is too large", n)
		return
	}
	least, noLeast := strconv.ParseFloat(tag.Get("minimum"), 64)
	most, noMost := strconv.ParseFloat(tag.Get("maximum"), 64)
	if noLeast == nil && x < least || noMost == nil && x > most {
		c.add(path, "use "+tag.Get("minimum")+" to "+tag.Get("maximum"), "%.40s is out of range", n)
	}
}

// field is a field of a struct that has a name in JSON.
type field struct {
	reflect.StructField
	name   string
	needed bool // has neither omitempty nor omitzero
}

// fields returns the fields of a struct, those of embedded structs too.
func fields(t reflect.Type) (out []field) {
	if t.Kind() != reflect.Struct {
		return nil
	}
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && name != "-" {
			out = append(out, field{f, name, !strings.Contains(options, "omit")})
		}
	}
	return out
}

// FieldNames returns the names of a struct's fields that people may set.
func FieldNames(t reflect.Type) (names []string) {
	for _, f := range fields(t) {
		if f.Tag.Get("readOnly") != "true" {
			names = append(names, f.name)
		}
	}
	return names
}

func plain(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// readsItself returns a pointer to a new value of a type that decodes itself, or nil.
func readsItself(t reflect.Type) any {
	switch own := reflect.New(t).Interface().(type) {
	case json.Unmarshaler, encoding.TextUnmarshaler:
		return own
	}
	return nil
}

func isNumber(t reflect.Type) bool { return t.Kind() >= reflect.Int && t.Kind() <= reflect.Float64 }

// shape says what to write for a value of a type.
func (c *checker) shape(t reflect.Type) string {
	t = plain(t)
	if t == reflect.TypeFor[json.RawMessage]() && c.o.Raw != "" {
		return c.o.Raw
	}
	if own := readsItself(t); own != nil {
		if err := decode([]any{}, own); err != nil { // which says what it takes
			if _, allowed, ok := strings.Cut(err.Error(), "; "); ok {
				return allowed
			}
		}
		return "set it"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "use true or false"
	case reflect.Float32, reflect.Float64:
		return "use a number"
	case reflect.String:
		return "use a string"
	case reflect.Slice, reflect.Array:
		return "use a list"
	case reflect.Struct:
		return "use an object that sets " + OneOf(FieldNames(t))
	case reflect.Map:
		return "use an object"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "use a whole number, 0 or more"
	}
	return "use a whole number"
}

// Describe names a value for a person.
func Describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		return fmt.Sprintf("the number %.40s", v)
	case string:
		return fmt.Sprintf("the string %.40q", v)
	case []any:
		return "a list"
	}
	return "an object"
}
