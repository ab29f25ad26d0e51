package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/internal/fault"
)

// maxFaults is how many faults of one body are told at a time.
const maxFaults = 100

// checker holds a body against its schema and collects every fault. It knows
// what the schemas of this API use; what a value means is checked later, by
// those who own its type.
type checker struct {
	schemas huma.Registry
	faults  cms.Faults
}

func (c *checker) add(path, allowed, text string, args ...any) {
	if !c.full() {
		c.faults.Add(path, allowed, text, args...)
	}
}

// full says that enough was found: looking on would only take time.
func (c *checker) full() bool { return len(c.faults) >= maxFaults }

func (c *checker) value(s *huma.Schema, path string, v any) {
	if c.full() {
		return
	}
	for s.Ref != "" {
		s = c.schemas.SchemaFromRef(s.Ref)
	}
	if kind, ok := s.Extensions[valueExtension].(string); ok {
		if problem, allowed := checkValueType(kind, v); problem != "" {
			c.add(path, allowed, "%s", problem)
		}
		return
	}
	switch s.Type {
	case huma.TypeObject:
		object, ok := v.(map[string]any)
		if !ok {
			c.add(path, "use an object", "is %s", kindOf(v))
			return
		}
		c.object(s, path, object)
	case huma.TypeArray:
		list, ok := v.([]any)
		if !ok {
			c.add(path, "use a list", "is %s", kindOf(v))
			return
		}
		for i, x := range list {
			c.value(s.Items, item(path, i), x)
		}
	case huma.TypeString:
		if _, ok := v.(string); !ok {
			c.add(path, "use a string", "is %s", kindOf(v))
		}
	case huma.TypeBoolean:
		if _, ok := v.(bool); !ok {
			c.add(path, "use true or false", "is %s", kindOf(v))
		}
	case huma.TypeInteger, huma.TypeNumber:
		c.number(s, path, v)
	}
}

func (c *checker) number(s *huma.Schema, path string, v any) {
	n, ok := v.(json.Number)
	if !ok {
		c.add(path, "use a number", "is %s", kindOf(v))
		return
	}
	if s.Type == huma.TypeInteger {
		if _, err := strconv.ParseInt(n.String(), 10, 64); err != nil {
			c.add(path, "use a whole number", "%.40s is not one", n)
			return
		}
	}
	x, err := n.Float64()
	switch {
	case err != nil:
		c.add(path, "use a smaller number", "%.40s is too large", n)
	case s.Minimum != nil && x < *s.Minimum:
		c.add(path, bounds(s), "%.40s is too small", n)
	case s.Maximum != nil && x > *s.Maximum:
		c.add(path, bounds(s), "%.40s is too large", n)
	}
}

func bounds(s *huma.Schema) string {
	switch {
	case s.Minimum != nil && s.Maximum != nil:
		return fmt.Sprintf("use %v to %v", *s.Minimum, *s.Maximum)
	case s.Minimum != nil:
		return fmt.Sprintf("use at least %v", *s.Minimum)
	}
	return fmt.Sprintf("use at most %v", *s.Maximum)
}

// object checks the members. A null stands for a field that was left out, as in
// encoding/json, but not for a value in a map.
func (c *checker) object(s *huma.Schema, path string, object map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if c.full() {
			return
		}
		at := below(path, name)
		if field, ok := s.Properties[name]; ok {
			if object[name] != nil {
				c.value(field, at, object[name])
			}
			continue
		}
		if values, ok := s.AdditionalProperties.(*huma.Schema); ok {
			c.value(values, at, object[name])
			continue
		}
		known := slices.Sorted(maps.Keys(s.Properties))
		c.add(at, "use "+oneOf(known), "is unknown%s", didYouMean(name, known))
	}
	for _, name := range s.Required {
		if object[name] == nil {
			c.add(below(path, name), "set it", "is missing")
		}
	}
}

// kindOf names what a JSON value is.
func kindOf(v any) string {
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

var plainName = regexp.MustCompile(`^[A-Za-z0-9_./:-]{1,60}$`)

// below returns the path of a member. Names that would garble it are quoted.
func below(path, name string) string {
	if !plainName.MatchString(name) {
		name = fmt.Sprintf("%.60q", name)
	}
	return fault.Join(path, name)
}

func item(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// fill checks an object as a client sent it and decodes it. Its status is
// ignored.
func fill[T any](a *API, object map[string]any) (T, *problem) {
	var out T
	delete(object, "status")
	c := checker{schemas: a.schemas}
	c.value(schemaOf[T](a.schemas), "", object)
	if len(c.faults) > 0 {
		return out, invalid(c.faults)
	}
	data, err := json.Marshal(object)
	if err == nil {
		err = json.Unmarshal(data, &out)
	}
	if err != nil { // something that the schema lets through
		return out, newProblem(422, "the body cannot be read: %s; see /docs for its fields", strings.TrimPrefix(err.Error(), "json: "))
	}
	return out, nil
}

// decode reads the body of a request.
func decode[T any](a *API, data []byte) (T, *problem) {
	object, p := parseObject(data)
	if p != nil {
		var none T
		return none, p
	}
	return fill[T](a, object)
}
