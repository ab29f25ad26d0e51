// Package fault collects everything that is wrong with a value, so that a
// person can mend it in one go.
package fault

import (
	"errors"
	"fmt"
	"strings"
)

// Fault is one thing that is wrong with a value.
type Fault struct {
	// Path names the field as it stands in the API and in YAML, such as
	// "workload.ports.http".
	Path string `json:"path"`
	// Problem says what is wrong, with the value that was given.
	Problem string `json:"problem"`
	// Allowed says what would be right.
	Allowed string `json:"allowed,omitempty"`
}

// String returns "path: problem; allowed".
func (f Fault) String() string {
	var b strings.Builder
	if f.Path != "" {
		b.WriteString(f.Path)
		b.WriteString(": ")
	}
	b.WriteString(f.Problem)
	if f.Allowed != "" {
		b.WriteString("; ")
		b.WriteString(f.Allowed)
	}
	return b.String()
}

// List is every fault of one value. It is an error when it is not empty; use
// [List.Err] to return it.
type List []Fault

// Add appends a fault.
func (l *List) Add(path, allowed, problem string, args ...any) {
	*l = append(*l, Fault{Path: path, Problem: fmt.Sprintf(problem, args...), Allowed: allowed})
}

// Nest appends the faults of a part, each path put under prefix.
func (l *List) Nest(prefix string, part List) {
	for _, f := range part {
		f.Path = Join(prefix, f.Path)
		*l = append(*l, f)
	}
}

// NestErr appends what is wrong with a part: each fault where err is a [List],
// and err itself as one fault where it is another error.
func (l *List) NestErr(prefix string, err error) {
	var part List
	switch {
	case err == nil:
	case errors.As(err, &part):
		l.Nest(prefix, part)
	default:
		l.Add(prefix, "", "%s", strings.TrimSpace(err.Error()))
	}
}

// Err returns the list as an error, or nil when there are no faults.
func (l List) Err() error {
	if len(l) == 0 {
		return nil
	}
	return l
}

// Error joins all faults in one line.
func (l List) Error() string {
	parts := make([]string, len(l))
	for i, f := range l {
		parts[i] = f.String()
	}
	return strings.Join(parts, " | ")
}

// Join puts two parts of a path together.
func Join(prefix, path string) string {
	switch {
	case prefix == "":
		return path
	case path == "", strings.HasPrefix(path, "["):
		return prefix + path
	}
	return prefix + "." + path
}
