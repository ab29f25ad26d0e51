package serve

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/internal/strict"
)

// placed is a fault and where it is.
type placed struct {
	where string // "file:3:7", "--listen" or ""
	line  int    // for sorting
	cms.Fault
}

// ConfigError is everything that is wrong with a configuration.
type ConfigError []placed

// Error has one line for each fault: where it is, which field, the problem and
// the fix.
func (e ConfigError) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = p.String()
		if p.where != "" {
			lines[i] = p.where + ": " + lines[i]
		}
	}
	return strings.Join(lines, "\n")
}

// document is a YAML file in which fields are found again.
type document struct {
	file   string
	body   ast.Node // nil: the file sets nothing
	faults ConfigError
}

// decodeStrict reads YAML into a pointer to a struct and refuses what the
// struct doesn't know. It returns the document, and every fault of the file's form
// as a [ConfigError].
func decodeStrict(file string, data []byte, into any) (*document, error) {
	d := &document{file: file}
	parsed, err := parser.ParseBytes(data, 0)
	if err != nil {
		return d, d.refused(err)
	}
	for _, doc := range parsed.Docs {
		switch {
		case doc.Body == nil || doc.Body.Type() == ast.CommentType:
		case d.body == nil:
			d.body = doc.Body
		default:
			return d, ConfigError{d.placed(begin(doc.Body), cms.Fault{Problem: "the file holds a second document", Allowed: "put everything into one"})}
		}
	}
	if d.body == nil {
		return d, nil
	}
	var tree any
	// Names that are there twice were refused by the parser; what is left is a field
	// beside a merge, which goes before it.
	if err := yaml.NodeToValue(d.body, &tree, yaml.AllowDuplicateMapKey()); err != nil {
		return d, d.refused(err)
	}
	asJSON, err := json.Marshal(tree)
	if err == nil {
		tree, err = strict.ParseJSON(asJSON)
	}
	if err != nil || tree == nil {
		return d, d.refused(err)
	}
	for _, f := range strict.Fill(tree, into, strict.Options{Partial: true}) {
		d.faults = append(d.faults, d.locate(f))
	}
	if len(d.faults) == 0 {
		return d, nil
	}
	slices.SortStableFunc(d.faults, func(a, b placed) int { return cmp.Compare(a.line, b.line) })
	return d, d.faults
}

// refused returns an error of the YAML library, which knows its own place.
func (d *document) refused(err error) error {
	if err == nil {
		return nil
	}
	problem, at := strings.TrimPrefix(err.Error(), "json: "), (*token.Token)(nil)
	var y yaml.Error
	if errors.As(err, &y) {
		problem, at = y.GetMessage(), y.GetToken()
	}
	return ConfigError{d.placed(at, cms.Fault{Problem: problem})}
}

func (d *document) placed(t *token.Token, f cms.Fault) placed {
	line, column := 1, 1
	if t != nil && t.Position != nil {
		line, column = t.Position.Line, t.Position.Column
	}
	return placed{fmt.Sprintf("%s:%d:%d", d.file, line, column), line, f}
}

// locate returns a fault with the place of its field, or of the nearest one around
// it: of its name where that is unknown or objects and lists follow it, otherwise of
// its value.
func (d *document) locate(f cms.Fault) placed {
	if d.body == nil {
		return placed{d.file, 0, f}
	}
	n := unwrap(d.body)
	at := begin(n)
	for _, part := range strings.FieldsFunc(f.Path, func(r rune) bool { return strings.ContainsRune(".[]", r) }) {
		key, value := child(n, part)
		if value == nil {
			break
		}
		n = unwrap(value)
		_, list := n.(*ast.SequenceNode)
		if at = begin(n); key != nil && (list || fieldsOf(n) != nil || f.Problem == strict.Unknown) {
			at = key.GetToken()
		}
	}
	return d.placed(at, f)
}

// child returns what a part of a path stands for: a field, with its name, or an
// element of a list.
func child(n ast.Node, part string) (key, value ast.Node) {
	for _, v := range fieldsOf(n) {
		if v.Key.GetToken().Value == part {
			key, value = v.Key, v.Value
		}
	}
	if list, ok := n.(*ast.SequenceNode); ok {
		if i, err := strconv.Atoi(part); err == nil && i < len(list.Values) {
			return nil, list.Values[i]
		}
	}
	return key, value
}

// fieldsOf returns the fields of a node that has fields.
func fieldsOf(n ast.Node) []*ast.MappingValueNode {
	switch x := n.(type) {
	case *ast.MappingNode:
		return x.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{x}
	}
	return nil
}

// begin returns where a node begins.
func begin(n ast.Node) *token.Token {
	if fields := fieldsOf(n); len(fields) > 0 {
		return fields[0].Key.GetToken()
	}
	return n.GetToken()
}

func unwrap(n ast.Node) ast.Node {
	switch x := n.(type) {
	case *ast.AnchorNode:
		return unwrap(x.Value)
	case *ast.TagNode:
		return unwrap(x.Value)
	}
	return n
}
