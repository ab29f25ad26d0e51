package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/elastipod/elastipod/cms/wire"
)

// manifest is one thing that a file asks for, as "cloud get" writes it: a document
// with one of these keys.
type manifest struct {
	Host       *wire.Host    `json:"host,omitempty"`
	Pod        *wire.Pod     `json:"pod,omitempty"`
	Elasticity *elasticityOf `json:"elasticity,omitempty"`

	file string
	body ast.Node
}

// elasticityOf is the elasticity of a pod, which exists before it.
type elasticityOf struct {
	Pod             string `json:"pod"`
	wire.Elasticity `yaml:",inline"`
}

// kinds are what a manifest may be, in the order in which they are applied.
var kinds = [...]string{"host", "pod", "elasticity"}

// kind returns which of kinds it is.
func (m manifest) kind() string {
	switch {
	case m.Host != nil:
		return "host"
	case m.Pod != nil:
		return "pod"
	}
	return "elasticity"
}

// name returns the name of the host or pod that it is about.
func (m manifest) name() string {
	switch {
	case m.Host != nil:
		return m.Host.Name
	case m.Pod != nil:
		return m.Pod.Name
	}
	return m.Elasticity.Pod
}

// String names it, as "pod web".
func (m manifest) String() string {
	if m.Elasticity != nil {
		return "elasticity of " + m.name()
	}
	return m.kind() + " " + m.name()
}

// readManifests reads files, folders of them ("*.yaml", "*.yml", "*.json"), or the
// standard input ("-"). It returns every fault at once, each with its place.
func readManifests(paths []string, stdin io.Reader) ([]manifest, error) {
	var all []manifest
	var errs []error
	for _, path := range paths {
		files, err := filesOf(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, file := range files {
			found, err := readManifestFile(file, stdin)
			all, errs = append(all, found...), append(errs, err)
		}
	}
	seen := map[string]manifest{}
	for _, m := range all {
		if first, twice := seen[m.String()]; twice {
			errs = append(errs, fmt.Errorf("%s: %s is here twice; the first is at %s", m.at(m.kind()), m, first.at(m.kind())))
			continue
		}
		seen[m.String()] = m
	}
	if err := errors.Join(errs...); err != nil {
		return nil, usageError{err}
	}
	if len(all) == 0 {
		return nil, usagef("%s: there is nothing in it; write what is there with \"cloud get -o yaml\"", strings.Join(paths, ", "))
	}
	slices.SortStableFunc(all, func(x, y manifest) int {
		return slices.Index(kinds[:], x.kind()) - slices.Index(kinds[:], y.kind())
	})
	return all, nil
}

// filesOf returns path, or the files in it where it is a folder.
func filesOf(path string) ([]string, error) {
	if path == "-" {
		return []string{path}, nil
	}
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return []string{path}, err
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); !e.IsDir() && (ext == ".yaml" || ext == ".yml" || ext == ".json") {
			files = append(files, filepath.Join(path, e.Name()))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: no .yaml, .yml or .json file is in this folder", path)
	}
	return files, nil
}

func readManifestFile(file string, stdin io.Reader) ([]manifest, error) {
	var data []byte
	var err error
	if file == "-" {
		data, err = io.ReadAll(stdin)
		file = "stdin"
	} else {
		data, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, err
	}
	parsed, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, placed(file, err)
	}
	var all []manifest
	var errs []error
	for _, doc := range parsed.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.NullType || doc.Body.Type() == ast.CommentType {
			continue
		}
		for _, body := range itemsOf(doc.Body) {
			m, err := readManifest(file, body)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			all = append(all, m)
		}
	}
	return all, errors.Join(errs...)
}

// itemsOf returns the elements of a list, as "cloud get -o json" writes it, or the
// document itself.
func itemsOf(body ast.Node) []ast.Node {
	if m, ok := body.(*ast.MappingNode); ok && len(m.Values) == 1 && m.Values[0].Key.String() == "items" {
		body = m.Values[0].Value
	} else if ok && len(m.Values) > 0 && strings.Trim(m.Values[0].Key.String(), `"`) == "items" {
		body = m.Values[0].Value
	}
	if s, ok := body.(*ast.SequenceNode); ok {
		return s.Values
	}
	return []ast.Node{body}
}

const allowedManifest = `use one of the keys host, pod and elasticity, as "cloud get -o yaml" writes it`

func readManifest(file string, body ast.Node) (manifest, error) {
	m := manifest{file: file, body: body}
	mapping, ok := body.(*ast.MappingNode)
	if !ok || len(mapping.Values) != 1 {
		return m, fmt.Errorf("%s: a document holds one thing; %s, and --- between them", m.at(""), allowedManifest)
	}
	if key := strings.Trim(mapping.Values[0].Key.String(), `"`); !slices.Contains(kinds[:], key) {
		near := ""
		if n := nearest(key, kinds[:]); n != "" {
			near = fmt.Sprintf("; did you mean %q?", n)
		}
		return m, fmt.Errorf("%s: there is no kind %q%s; %s", m.at(""), key, near, allowedManifest)
	}
	if err := yaml.NodeToValue(body, &m, yaml.Strict()); err != nil {
		return m, placed(file, err)
	}
	if m.Host == nil && m.Pod == nil && m.Elasticity == nil {
		return m, fmt.Errorf("%s: there is nothing in it", m.at(""))
	}
	if m.name() == "" {
		field := "name"
		if m.Elasticity != nil {
			field = "pod"
		}
		return m, fmt.Errorf("%s: %s is missing", m.at(m.kind()), field)
	}
	switch { // what the server adds is no setting
	case m.Host != nil:
		m.Host.Status = nil
	case m.Pod != nil:
		m.Pod.Status = nil
	default:
		m.Elasticity.Status = nil
	}
	return m, nil
}

// goTypes are the names of this program's types, which mean nothing to others.
var goTypes = regexp.MustCompile(`into Go (struct field|value) (\S+ )?of type (\S+)`)

// placed turns an error of the YAML library into one with file, line and column.
func placed(file string, err error) error {
	var e yaml.Error
	if !errors.As(err, &e) || e.GetToken() == nil || e.GetToken().Position == nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	at := e.GetToken().Position
	text := goTypes.ReplaceAllString(e.GetMessage(), "as $3")
	text = strings.Replace(text, "cannot unmarshal", "cannot take a", 1)
	return fmt.Errorf("%s:%d:%d: %s", file, at.Line, at.Column, text)
}

// at returns the place of a field such as "pod.workload.ports.http" or
// "pod.fronts[0].listen", or of the innermost thing around it that is there.
func (m manifest) at(path string) string {
	token := m.body.GetToken()
	if mapping, ok := m.body.(*ast.MappingNode); ok && len(mapping.Values) > 0 {
		token = mapping.Values[0].Key.GetToken()
	}
	node := m.body
	for _, part := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		var next ast.Node
		switch n := node.(type) {
		case *ast.MappingNode:
			for _, v := range n.Values {
				if strings.Trim(v.Key.String(), `"'`) == part {
					next, token = v.Value, v.Key.GetToken()
				}
			}
		case *ast.SequenceNode:
			if i, err := strconv.Atoi(part); err == nil && i < len(n.Values) {
				next, token = n.Values[i], n.Values[i].GetToken()
			}
		}
		if next == nil {
			break
		}
		node = next
	}
	if token == nil || token.Position == nil {
		return m.file
	}
	return fmt.Sprintf("%s:%d:%d", m.file, token.Position.Line, token.Position.Column)
}
