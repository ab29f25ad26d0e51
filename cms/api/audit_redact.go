package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/elastipod/elastipod/internal/fault"
)

// maxAuditFields bounds the length of an entry.
const maxAuditFields = 64

// auditNames knows which names in a body are those of the API, and which fields
// have names below them that the user chose. What is neither may be anything, a
// secret in the wrong place too, and is not repeated.
type auditNames struct {
	known map[string]bool
	free  map[string]bool // fields that are maps
}

// newAuditNames takes the names of every schema of the document together: a
// merge patch has none of its own.
func newAuditNames(r huma.Registry) auditNames {
	n := auditNames{known: map[string]bool{}, free: map[string]bool{}}
	for _, s := range r.Map() {
		for name, p := range s.Properties {
			n.known[name] = true
			if p.Ref != "" {
				p = r.SchemaFromRef(p.Ref)
			}
			switch more := p.AdditionalProperties.(type) {
			case *huma.Schema:
				n.free[name] = true
			case bool:
				n.free[name] = n.free[name] || more
			}
		}
	}
	return n
}

// Parts of what was sent that are let into an entry.
var (
	safeName  = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,62}$`)
	safeKey   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.:/-]{0,62}$`)
	safeValue = regexp.MustCompile(`^(true|false|-?[0-9]{1,12}(\.[0-9]{1,9})?([a-zµ]{1,2}|[kKMGT]i?B|B)?([0-9]{1,3}[a-z]{1,2}){0,3})$`)
)

// auditName returns a name as pods, nodes and hosts have, or "?".
func auditName(s string) string {
	if safeName.MatchString(s) {
		return s
	}
	return "?"
}

// auditText returns a switch, number, amount or duration; anything else is
// otherwise.
func auditText(s, otherwise string) string {
	if safeValue.MatchString(s) {
		return s
	}
	return otherwise
}

// summary says what a body set.
func (n auditNames) summary(object map[string]any) map[string]string {
	if len(object) == 0 {
		return nil
	}
	out := map[string]string{}
	n.add(out, "", object, false)
	if name, ok := object["name"].(string); ok && safeName.MatchString(name) {
		out["name"] = name // what is created is named nowhere else
	}
	if len(out) > maxAuditFields {
		for _, path := range slices.Sorted(maps.Keys(out))[maxAuditFields:] {
			delete(out, path)
		}
		out["…"] = "more"
	}
	return out
}

// add notes the fields of an object; free says that its names are the user's.
func (n auditNames) add(out map[string]string, at string, object map[string]any, free bool) {
	for name, v := range object {
		path := fault.Join(at, n.name(name, free))
		switch v := v.(type) {
		case nil:
			out[path] = "removed"
		case map[string]any:
			if len(v) == 0 {
				out[path] = "0 items"
			} else if !free && n.known[name] {
				n.add(out, path, v, n.free[name])
			} else {
				out[path] = "set"
			}
		case []any:
			out[path] = fmt.Sprintf("%d items", len(v))
		case string:
			out[path] = n.value(v, name, free)
		case json.Number:
			out[path] = n.value(v.String(), name, free)
		case bool:
			out[path] = n.value(fmt.Sprint(v), name, free)
		}
	}
}

// value tells values of the API's own fields only: those below a name that the
// user chose are environment variables and the like.
func (n auditNames) value(s, name string, free bool) string {
	if free || !n.known[name] {
		return "set"
	}
	return auditText(s, "set")
}

func (n auditNames) name(name string, free bool) string {
	if n.known[name] || free && safeKey.MatchString(name) {
		return name
	}
	return "?"
}

// reason says why a write was refused or failed: the title of its status, and the
// fields that were wrong. The sentences of a problem are for the client: they quote
// what it sent.
func (n auditNames) reason(p *problem, status int) string {
	var wrong []string
	for _, f := range p.faults[:min(len(p.faults), maxAuditFields)] {
		wrong = append(wrong, n.path(f.Path))
	}
	if len(wrong) == 0 {
		return http.StatusText(status)
	}
	return http.StatusText(status) + ": " + strings.Join(wrong, ", ")
}

// path returns a fault's path with its unknown names left out.
func (n auditNames) path(path string) string {
	parts := strings.Split(path, ".")
	free := false
	for i, part := range parts {
		name, index, _ := strings.Cut(part, "[")
		if shown := n.name(name, free); shown != name {
			parts[i] = shown
		} else if index != "" && !strings.HasSuffix(index, "]") {
			parts[i] = name
		}
		free = free || n.free[name]
	}
	return strings.Join(parts, ".")
}
