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

// place is where something stands in a file, both counted from 1.
type place struct{ line, column int }

// document is a YAML file of which it is known where each field stands.
type document struct {
	file    string
	keys    map[string]place // of the names of fields
	values  map[string]place // of what stands after them
	anchors map[string]ast.Node
	left    int // how many more values it may hold
	faults  ConfigError
}

const (
	maxValues = 100_000 // of a file, each alias counted as what it stands for
	maxNested = 64
)

// decodeStrict reads YAML into a pointer to a struct and refuses what the
// struct doesn't know. It returns where the fields stand, and every fault of the
// file's form as a [ConfigError].
func decodeStrict(file string, data []byte, into any) (*document, error) {
	d := &document{file: file, keys: map[string]place{}, values: map[string]place{}, anchors: map[string]ast.Node{}, left: maxValues}
	parsed, err := parser.ParseBytes(data, 0)
	if err != nil {
		d.addError(err)
		return d, d.err()
	}
	var docs []*ast.DocumentNode
	for _, doc := range parsed.Docs {
		if doc.Body != nil && doc.Body.Type() != ast.CommentType {
			docs = append(docs, doc)
		}
	}
	if len(docs) == 0 {
		return d, nil // a file of comments sets nothing
	}
	if len(docs) > 1 {
		d.add(placeOf(docs[1].Body), cms.Fault{Problem: "the file holds a second document", Allowed: "put everything into one"})
		return d, d.err()
	}
	tree := d.value(docs[0].Body, "", 0)
	if len(d.faults) == 0 && tree != nil {
		for _, f := range strict.Fill(tree, into, strict.Options{Partial: true}) {
			d.faults = append(d.faults, d.locate(f))
		}
	}
	return d, d.err()
}

func (d *document) err() error {
	if len(d.faults) == 0 {
		return nil
	}
	slices.SortStableFunc(d.faults, func(a, b placed) int { return cmp.Compare(a.line, b.line) })
	return d.faults
}

// locate returns a fault with the place of its field, or of the nearest one
// around it.
func (d *document) locate(f cms.Fault) placed {
	if p, ok := d.keys[f.Path]; ok && f.Problem == strict.Unknown {
		return d.placed(p, f)
	}
	for path := f.Path; ; path = path[:max(strings.LastIndexAny(path, ".["), 0)] {
		if p, ok := d.values[path]; ok {
			return d.placed(p, f)
		}
		if path == "" {
			return placed{d.file, 0, f}
		}
	}
}

func (d *document) placed(p place, f cms.Fault) placed {
	return placed{fmt.Sprintf("%s:%d:%d", d.file, p.line, p.column), p.line, f}
}

func (d *document) add(p place, f cms.Fault) { d.faults = append(d.faults, d.placed(p, f)) }

// addError adds an error of the YAML library, which knows its own place.
func (d *document) addError(err error) {
	f, p := cms.Fault{Problem: err.Error()}, place{1, 1}
	var y yaml.Error
	if errors.As(err, &y) {
		f.Problem = y.GetMessage()
		if t := y.GetToken(); t != nil {
			p = place{t.Position.Line, t.Position.Column}
		}
	}
	d.add(p, f)
}

// value returns what a node says as [strict.ParseJSON] would, and notes where
// everything in it stands.
func (d *document) value(n ast.Node, path string, depth int) any {
	n = d.resolve(n)
	d.values[path] = placeOf(n)
	if d.left--; d.left < 0 || depth > maxNested {
		if len(d.faults) == 0 {
			d.add(placeOf(n), cms.Fault{Problem: "the file is nested too deep, or aliases make it too large", Allowed: "write it out"})
		}
		return nil
	}
	switch x := n.(type) {
	case *ast.MappingNode:
		return d.object(x.Values, path, depth)
	case *ast.MappingValueNode:
		return d.object([]*ast.MappingValueNode{x}, path, depth)
	case *ast.SequenceNode:
		list := make([]any, len(x.Values))
		for i, v := range x.Values {
			list[i] = d.value(v, strict.Item(path, i), depth+1)
		}
		return list
	case *ast.NullNode:
		return nil
	case *ast.BoolNode:
		return x.Value
	case *ast.IntegerNode:
		return json.Number(fmt.Sprint(x.Value))
	case *ast.FloatNode:
		return json.Number(strconv.FormatFloat(x.Value, 'g', -1, 64))
	case *ast.StringNode:
		return x.Value
	case *ast.LiteralNode:
		return x.Value.Value
	}
	return n.GetToken().Value
}

func (d *document) object(values []*ast.MappingValueNode, path string, depth int) map[string]any {
	out := map[string]any{}
	for _, v := range values {
		if _, merge := v.Key.(*ast.MergeKeyNode); merge {
			base, ok := d.value(v.Value, path, depth+1).(map[string]any)
			if !ok {
				d.add(placeOf(v.Key), cms.Fault{Path: path, Problem: "merges what is no object", Allowed: "merge one alias of an object"})
			}
			for name, x := range base {
				if _, own := out[name]; !own { // which goes before it
					out[name] = x
				}
			}
			continue
		}
		name := v.Key.GetToken().Value
		at := strict.Below(path, name)
		out[name] = d.value(v.Value, at, depth+1)
		d.keys[at] = placeOf(v.Key)
		switch out[name].(type) {
		case map[string]any, []any: // begins with its name
			d.values[at] = d.keys[at]
		}
	}
	return out
}

// resolve returns what an anchor, tag or alias stands for.
func (d *document) resolve(n ast.Node) ast.Node {
	for range maxNested { // an alias within its own anchor ends here
		switch x := n.(type) {
		case *ast.AnchorNode:
			d.anchors[x.Name.String()] = x.Value
			n = x.Value
		case *ast.TagNode:
			n = x.Value
		case *ast.AliasNode:
			target, ok := d.anchors[x.Value.String()]
			if !ok {
				d.add(placeOf(x), cms.Fault{Problem: "*" + x.Value.String() + " is not defined before", Allowed: "define it with &" + x.Value.String()})
				return ast.Null(x.GetToken())
			}
			n = target
		default:
			return n
		}
	}
	return ast.Null(n.GetToken())
}

func placeOf(n ast.Node) place {
	switch x := n.(type) {
	case *ast.MappingNode:
		if len(x.Values) > 0 {
			n = x.Values[0].Key
		}
	case *ast.MappingValueNode:
		n = x.Key
	}
	if n.GetToken() == nil || n.GetToken().Position == nil {
		return place{1, 1}
	}
	p := n.GetToken().Position
	return place{p.Line, p.Column}
}
