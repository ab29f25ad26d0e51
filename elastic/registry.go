package elastic

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/elastipod/elastipod/internal/strict"
)

// MaxNesting is how many policies may be wrapped in each other.
const MaxNesting = 8

// Kind is a sort of policy that can be chosen in configuration.
type Kind struct {
	// Name is what "kind" says on the wire: 1 to 40 of a-z, 0-9 and -, a letter
	// first.
	Name string
	// Summary is one sentence for people.
	Summary string
	// Schema is a JSON Schema (2020-12) of the policy's object without "kind";
	// it refers to a wrapped policy as {"$ref":"#/$defs/policy"}. Empty: an
	// object with any properties.
	Schema json.RawMessage
	// New makes a policy, with no memory yet, of its whole object, "kind"
	// included. [Decode] reads it strictly; r parses a wrapped policy, and so
	// keeps count of the nesting. Errors should be [Faults] with paths from this
	// object on. New may be called by several goroutines.
	New func(raw json.RawMessage, r *Registry) (Policy, error)
}

// Registry knows policies by their kind. It may be used by several goroutines.
type Registry struct {
	kinds *kindTable
	depth int // how many policies are around what is parsed
}

type kindTable struct {
	mu     sync.RWMutex
	byName map[string]Kind
}

// NewRegistry returns a Registry with the policies of this package: threshold,
// target, clamp, cooldown, stabilize and step-limit.
func NewRegistry() *Registry {
	r := &Registry{kinds: &kindTable{byName: map[string]Kind{}}}
	for _, k := range builtin() {
		r.kinds.byName[k.Name] = k
	}
	return r
}

var kindNameRE = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)

// Register adds a kind. It fails when the name is not one, is taken, New is nil
// or Schema is no JSON object.
func (r *Registry) Register(k Kind) error {
	switch {
	case !kindNameRE.MatchString(k.Name):
		return fmt.Errorf("elastic: register policy kind %.60q: use 1 to 40 of a-z, 0-9 and -, a letter first", k.Name)
	case k.New == nil:
		return fmt.Errorf("elastic: register policy kind %q: New is nil", k.Name)
	}
	if len(k.Schema) > 0 {
		var object map[string]json.RawMessage
		if err := json.Unmarshal(k.Schema, &object); err != nil || object == nil {
			return fmt.Errorf("elastic: register policy kind %q: its schema is not a JSON object", k.Name)
		}
	}
	r.kinds.mu.Lock()
	defer r.kinds.mu.Unlock()
	if _, taken := r.kinds.byName[k.Name]; taken {
		return fmt.Errorf("elastic: register policy kind %q: the name is taken", k.Name)
	}
	r.kinds.byName[k.Name] = k
	return nil
}

// Kinds returns all kinds, sorted by name.
func (r *Registry) Kinds() []Kind {
	r.kinds.mu.RLock()
	defer r.kinds.mu.RUnlock()
	all := make([]Kind, 0, len(r.kinds.byName))
	for _, k := range r.kinds.byName {
		all = append(all, k)
	}
	slices.SortFunc(all, func(a, b Kind) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Parse makes the policy that raw describes, such as
//
//	{"kind":"cooldown","down":"60s","policy":{"kind":"threshold","lower":0.3,"upper":0.7}}
//
// Each call makes a new one, with a memory of its own. It returns everything
// that is wrong as [Faults].
func (r *Registry) Parse(raw json.RawMessage) (Policy, error) {
	if r.depth >= MaxNesting {
		return nil, Faults{{Problem: fmt.Sprintf("is wrapped in %d policies", r.depth), Allowed: fmt.Sprintf("use at most %d policies in each other", MaxNesting)}}
	}
	kind, err := r.kind(raw)
	if err != nil {
		return nil, err
	}
	p, err := kind.New(raw, &Registry{kinds: r.kinds, depth: r.depth + 1})
	if err != nil {
		var f Faults
		if !errors.As(err, &f) {
			f = Faults{{Problem: fmt.Sprintf("%s: %v", kind.Name, err)}}
		}
		return nil, f
	}
	if p == nil {
		return nil, Faults{{Path: "kind", Problem: fmt.Sprintf("%q made no policy", kind.Name)}}
	}
	return p, nil
}

// kind finds the kind of the policy that raw describes.
func (r *Registry) kind(raw json.RawMessage) (Kind, error) {
	object, f := parseObject(raw)
	if f != nil {
		return Kind{}, f
	}
	var names []string
	for _, k := range r.Kinds() {
		if k.Name == object["kind"] {
			return k, nil
		}
		names = append(names, k.Name)
	}
	wrong := Fault{Path: "kind", Problem: "is missing", Allowed: "use " + strict.OneOf(names)}
	if given, there := object["kind"]; there {
		name, ok := given.(string)
		if wrong.Problem = "is " + strict.Describe(given); ok {
			wrong.Problem, wrong.Allowed = fmt.Sprintf("%.60q is unknown", name), strict.Suggest(name, names)
		}
	}
	return Kind{}, Faults{wrong}
}

// Canonical checks raw as [Registry.Parse] does and returns the same settings in
// one way of writing: without blanks, "kind" first, other names sorted, a
// wrapped "policy" last. What was not set stays unset. Canonical of its own
// result is that result.
func (r *Registry) Canonical(raw json.RawMessage) (json.RawMessage, error) {
	if _, err := r.Parse(raw); err != nil {
		return nil, err
	}
	object, f := parseObject(raw)
	if f != nil {
		return nil, f
	}
	var b bytes.Buffer
	if err := canonical(&b, object); err != nil {
		return nil, fmt.Errorf("elastic: canonical policy: %w", err)
	}
	return b.Bytes(), nil
}

func canonical(b *bytes.Buffer, object map[string]any) error {
	rank := func(name string) int {
		switch name {
		case "kind":
			return 0
		case "policy":
			return 2
		}
		return 1
	}
	names := slices.SortedFunc(maps.Keys(object), func(x, y string) int {
		return cmp.Or(rank(x)-rank(y), strings.Compare(x, y))
	})
	b.WriteByte('{')
	for i, name := range names {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := json.Marshal(name)
		if err != nil {
			return err
		}
		b.Write(append(key, ':'))
		if inner, ok := object[name].(map[string]any); ok && name == "policy" {
			if err := canonical(b, inner); err != nil {
				return err
			}
			continue
		}
		value, err := json.Marshal(object[name])
		if err != nil {
			return err
		}
		b.Write(value)
	}
	b.WriteByte('}')
	return nil
}
