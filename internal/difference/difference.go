// Package difference tells in which settings two values differ, as JSON has them.
package difference

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/elastipod/elastipod/internal/fault"
)

// Change is a setting that differs.
type Change struct {
	// Path names it as YAML has it, such as "workload.env.KEY" or "fronts[web].listen".
	Path string `json:"path"`
	// From and To are what encoding/json makes of its JSON; nil where one side lacks it.
	From any `json:"from"`
	To   any `json:"to"`
}

// Tree returns the fields that the JSON of a value has.
func Tree(v any) (map[string]any, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var tree map[string]any
	return tree, json.Unmarshal(data, &tree)
}

// Between compares two trees, in the order of their names. An object that one side
// lacks differs field by field. Of a list whose entries have names each entry is
// compared with the one of its name, and one that came or went differs as a whole;
// any other list differs as a whole. Null, and an empty list, counts as missing.
func Between(from, to map[string]any) []Change { return between("", from, to) }

func between(path string, from, to any) []Change {
	x, ok := parts(from)
	y, both := parts(to)
	if !ok || !both {
		if isEmpty(from) && isEmpty(to) || reflect.DeepEqual(from, to) {
			return nil
		}
		return []Change{{path, from, to}}
	}
	var out []Change
	all := map[string]any{}
	maps.Copy(all, x)
	maps.Copy(all, y)
	for _, part := range slices.Sorted(maps.Keys(all)) {
		a, before := x[part]
		b, after := y[part]
		if at := fault.Join(path, part); strings.HasPrefix(part, "[") && before != after {
			out = append(out, Change{at, a, b})
		} else {
			out = append(out, between(at, a, b)...)
		}
	}
	return out
}

// parts returns what may be compared one by one: fields, and entries that have
// names. What is missing has none.
func parts(v any) (map[string]any, bool) {
	switch v := v.(type) {
	case nil:
		return map[string]any{}, true
	case map[string]any:
		return v, true
	case []any:
		out := map[string]any{}
		for _, entry := range v {
			fields, _ := entry.(map[string]any)
			name, ok := fields["name"].(string)
			if !ok {
				return nil, false
			}
			out["["+name+"]"] = entry
		}
		return out, true
	}
	return nil, false
}

func isEmpty(v any) bool {
	list, ok := v.([]any)
	return v == nil || ok && len(list) == 0
}
