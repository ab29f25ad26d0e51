package serve

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/internal/fault"
)

// place is where something stands in a file, both counted from 1.
type place struct{ line, column int }

// document is a YAML file of which it is known where each field stands.
type document struct {
	file    string
	at      map[string]place
	anchors map[string]ast.Node
	faults  []placed
}

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

// decodeStrict reads YAML into a pointer to a struct and refuses what the
// struct doesn't know. It returns where the fields stand, and every fault of the
// file's form as a [ConfigError].
func decodeStrict(file string, data []byte, into any) (*document, error) {
	d := &document{file: file, at: map[string]place{}, anchors: map[string]ast.Node{}}
	parsed, err := parser.ParseBytes(data, 0)
	if err != nil {
		d.addError(nil, "", err)
		return d, d.err()
	}
	var docs []*ast.DocumentNode
	for _, doc := range parsed.Docs {
		if doc.Body != nil && doc.Body.Type() != ast.CommentType {
			docs = append(docs, doc)
		}
	}
	switch len(docs) {
	case 0:
		return d, nil // a file of comments sets nothing
	case 1:
	default:
		d.add(docs[1].Body, "", "the file holds a second document", "put everything into one")
		return d, d.err()
	}
	d.walk(docs[0].Body, reflect.TypeOf(into).Elem(), "")
	if err := d.err(); err != nil {
		return d, err
	}
	// Names that are there twice were refused by the parser; what is left is a
	// field beside a merge, which goes before it.
	if err := yaml.NodeToValue(docs[0].Body, into, yaml.DisallowUnknownField(), yaml.AllowDuplicateMapKey()); err != nil {
		d.addError(docs[0].Body, "", err)
	}
	return d, d.err()
}

func (d *document) err() error {
	if len(d.faults) == 0 {
		return nil
	}
	slices.SortStableFunc(d.faults, func(a, b placed) int { return cmp.Compare(a.line, b.line) })
	return ConfigError(d.faults)
}

// locate returns a fault with the place of its field, or of the nearest one
// around it.
func (d *document) locate(f cms.Fault) placed {
	for path := f.Path; ; path = path[:max(strings.LastIndexAny(path, ".["), 0)] {
		if p, ok := d.at[path]; ok {
			return placed{fmt.Sprintf("%s:%d:%d", d.file, p.line, p.column), p.line, f}
		}
		if path == "" {
			return placed{d.file, 0, f}
		}
	}
}

func (d *document) add(n ast.Node, path, problem, allowed string) {
	p := placeOf(n)
	d.faults = append(d.faults, placed{
		fmt.Sprintf("%s:%d:%d", d.file, p.line, p.column), p.line,
		cms.Fault{Path: path, Problem: problem, Allowed: allowed},
	})
}

// addError adds an error of the YAML library, which knows its own place.
func (d *document) addError(n ast.Node, path string, err error) {
	problem, p := err.Error(), place{1, 1}
	if n != nil {
		p = placeOf(n)
	}
	var y yaml.Error
	if errors.As(err, &y) {
		problem = y.GetMessage()
		if t := y.GetToken(); t != nil {
			p = place{t.Position.Line, t.Position.Column}
		}
	}
	problem, allowed, _ := strings.Cut(problem, "; ")
	d.faults = append(d.faults, placed{
		fmt.Sprintf("%s:%d:%d", d.file, p.line, p.column), p.line,
		cms.Fault{Path: path, Problem: problem, Allowed: allowed},
	})
}

// nodeUnmarshaler is a type that reads itself, such as those of cms/wire.
type nodeUnmarshaler interface{ UnmarshalYAML(ast.Node) error }

// walk checks that a node is what the type takes, and notes where fields stand.
func (d *document) walk(n ast.Node, t reflect.Type, path string) {
	n = d.resolve(n)
	if _, ok := d.at[path]; !ok {
		d.at[path] = placeOf(n)
	}
	if n.Type() == ast.NullType {
		return // as if it were left out
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if v := reflect.New(t); v.Type().Implements(reflect.TypeFor[nodeUnmarshaler]()) {
		if err := v.Interface().(nodeUnmarshaler).UnmarshalYAML(n); err != nil {
			d.addError(n, path, err)
		}
		d.note(n, path)
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		d.walkStruct(n, t, path)
	case reflect.Map:
		values, ok := mapping(n)
		if !ok {
			d.add(n, path, "is "+kindOf(n), "write names and values below it")
		}
		for _, v := range values {
			key := keyText(v)
			d.at[fault.Join(path, key)] = placeOf(v.Key)
			d.walk(v.Value, t.Elem(), fault.Join(path, key))
		}
	case reflect.Slice:
		list, ok := n.(*ast.SequenceNode)
		if !ok {
			d.add(n, path, "is "+kindOf(n), "write a list: lines that begin with a dash, or [a, b]")
			return
		}
		for i, v := range list.Values {
			d.walk(v, t.Elem(), path+"["+strconv.Itoa(i)+"]")
		}
	default:
		d.walkScalar(n, t.Kind(), path)
	}
}

// note notes where the fields of a node stand that reads itself.
func (d *document) note(n ast.Node, path string) {
	n = d.resolve(n)
	if values, ok := mapping(n); ok {
		for _, v := range values {
			at := fault.Join(path, keyText(v))
			d.at[at] = placeOf(v.Value)
			if _, ok := mapping(d.resolve(v.Value)); ok {
				d.at[at] = placeOf(v.Key)
			}
			d.note(v.Value, at)
		}
	}
}

func (d *document) walkStruct(n ast.Node, t reflect.Type, path string) {
	values, ok := mapping(n)
	if !ok {
		d.add(n, path, "is "+kindOf(n), "write fields below it: "+strings.Join(fieldNames(t), ", "))
		return
	}
	for _, v := range values {
		if _, merge := v.Key.(*ast.MergeKeyNode); merge {
			d.walkStruct(d.resolve(v.Value), t, path)
			continue
		}
		if keyText(v) == "status" { // what a server added, and does not read
			v.Value = ast.Null(v.Value.GetToken())
			continue
		}
		key := keyText(v)
		at := fault.Join(path, key)
		field, ok := fieldByName(t, key)
		if !ok {
			d.add(v.Key, at, "is not a field", suggest(key, fieldNames(t)))
			continue
		}
		d.at[at] = placeOf(v.Value)
		if _, container := mapping(d.resolve(v.Value)); container || d.resolve(v.Value).Type() == ast.SequenceType {
			d.at[at] = placeOf(v.Key)
		}
		d.walk(v.Value, field.Type, at)
	}
}

func (d *document) walkScalar(n ast.Node, k reflect.Kind, path string) {
	text := n.GetToken().Value
	switch k {
	case reflect.String:
		switch n.Type() {
		case ast.StringType, ast.LiteralType:
		case ast.IntegerType, ast.FloatType, ast.BoolType, ast.InfinityType, ast.NanType:
			d.add(n, path, text+" is "+kindOf(n), "put it in quotes: \""+text+"\"")
		default:
			d.add(n, path, "is "+kindOf(n), "use text")
		}
	case reflect.Bool:
		if n.Type() != ast.BoolType {
			d.add(n, path, describe(n), "use true or false")
		}
	case reflect.Float32, reflect.Float64:
		if n.Type() != ast.FloatType && n.Type() != ast.IntegerType {
			d.add(n, path, describe(n), "use a number")
		}
	default: // integers
		if n.Type() != ast.IntegerType {
			d.add(n, path, describe(n), "use a whole number")
		} else if v, ok := n.(*ast.IntegerNode).Value.(uint64); ok && v > 1<<53 {
			d.add(n, path, describe(n), "use a smaller number")
		}
	}
}

// resolve returns what an anchor, tag or alias stands for.
func (d *document) resolve(n ast.Node) ast.Node {
	for range 100 { // an alias within its own anchor ends here
		switch x := n.(type) {
		case *ast.AnchorNode:
			d.anchors[x.Name.String()] = x.Value
			n = x.Value
		case *ast.TagNode:
			n = x.Value
		case *ast.AliasNode:
			target, ok := d.anchors[x.Value.String()]
			if !ok {
				d.add(x, "", "*"+x.Value.String()+" is not defined before", "define it with &"+x.Value.String())
				return ast.Null(x.GetToken())
			}
			n = target
		default:
			return n
		}
	}
	return ast.Null(n.GetToken())
}

// mapping returns the fields of a node that has fields.
func mapping(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch x := n.(type) {
	case *ast.MappingNode:
		return x.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{x}, true
	}
	return nil, false
}

func keyText(v *ast.MappingValueNode) string { return v.Key.GetToken().Value }

func placeOf(n ast.Node) place {
	if values, ok := mapping(n); ok && len(values) > 0 {
		n = values[0].Key
	}
	if n.GetToken() == nil || n.GetToken().Position == nil {
		return place{1, 1}
	}
	p := n.GetToken().Position
	return place{p.Line, p.Column}
}

func describe(n ast.Node) string {
	if _, ok := n.(ast.ScalarNode); ok {
		return fmt.Sprintf("%.60q is %s", n.GetToken().Value, kindOf(n))
	}
	return "is " + kindOf(n)
}

func kindOf(n ast.Node) string {
	switch n.Type() {
	case ast.MappingType, ast.MappingValueType:
		return "a group of fields"
	case ast.SequenceType:
		return "a list"
	case ast.StringType, ast.LiteralType:
		return "text"
	case ast.IntegerType, ast.FloatType, ast.InfinityType, ast.NanType:
		return "a number"
	case ast.BoolType:
		return "true or false"
	}
	return "something else"
}

// fieldByName returns the field that a key of the file names. Structs that are
// embedded count as a part of the one around them.
func fieldByName(t reflect.Type, name string) (reflect.StructField, bool) {
	for _, f := range reflect.VisibleFields(t) {
		if fieldName(f) == name {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

func fieldNames(t reflect.Type) []string {
	var out []string
	for _, f := range reflect.VisibleFields(t) {
		if name := fieldName(f); name != "" && name != "status" { // which is read, but not for people
			out = append(out, name)
		}
	}
	return out
}

func fieldName(f reflect.StructField) string {
	tag, ok := f.Tag.Lookup("yaml")
	if !ok {
		tag = f.Tag.Get("json")
	}
	name, _, _ := strings.Cut(tag, ",")
	return name
}
