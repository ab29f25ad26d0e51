package apifuzz

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Document is what a fuzzer needs of an OpenAPI 3.1 document.
type Document struct {
	Operations []Operation // sorted by path and method
	schemas    map[string]*schema
	creating   []*Operation // those that make or change something
}

// Operation is one operation of the document.
type Operation struct {
	Method, Path string
	params       []parameter
	body         *schema // nil: none is read
	media        []string
	answers      map[string]bool // the status codes that are documented
}

// Documented says whether the operation may answer with that status.
func (o Operation) Documented(status int) bool { return o.answers[fmt.Sprint(status)] }

// String returns "METHOD /path".
func (o Operation) String() string { return o.Method + " " + o.Path }

type parameter struct {
	Name        string  `json:"name"`
	In          string  `json:"in"`
	Required    bool    `json:"required"`
	Description string  `json:"description"`
	Schema      *schema `json:"schema"`
}

// schema is the part of JSON Schema that values are made from.
type schema struct {
	Ref         string             `json:"$ref"`
	Type        any                `json:"type"` // a name, or a list of names
	Format      string             `json:"format"`
	Enum        []any              `json:"enum"`
	OneOf       []*schema          `json:"oneOf"`
	Properties  map[string]*schema `json:"properties"`
	Required    []string           `json:"required"`
	More        json.RawMessage    `json:"additionalProperties"`
	Items       *schema            `json:"items"`
	Minimum     *float64           `json:"minimum"`
	Maximum     *float64           `json:"maximum"`
	Description string             `json:"description"`
	Examples    []any              `json:"examples"`
	ReadOnly    bool               `json:"readOnly"`
	Own         string             `json:"x-elastipod-type"`
	names       []string           // of Properties, sorted
	more        *schema            // of properties with other names; nil where there are none
}

// Parse reads an OpenAPI document.
func Parse(text []byte) (*Document, error) {
	var raw struct {
		Paths      map[string]map[string]json.RawMessage `json:"paths"`
		Components struct {
			Schemas map[string]*schema `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	d := &Document{schemas: raw.Components.Schemas}
	for _, s := range d.schemas {
		s.prepare()
	}
	for _, path := range slices.Sorted(maps.Keys(raw.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(raw.Paths[path])) {
			op, err := operation(method, path, raw.Paths[path][method])
			if err != nil {
				return nil, err
			}
			d.Operations = append(d.Operations, op)
		}
	}
	for i := range d.Operations {
		if op := &d.Operations[i]; op.Method == "POST" || op.Method == "PUT" || op.Method == "PATCH" {
			d.creating = append(d.creating, op)
			if op.body != nil {
				d.creating = append(d.creating, op, op)
			}
		}
	}
	return d, nil
}

func operation(method, path string, text json.RawMessage) (Operation, error) {
	var raw struct {
		Parameters []parameter `json:"parameters"`
		Body       struct {
			Content map[string]struct {
				Schema *schema `json:"schema"`
			} `json:"content"`
		} `json:"requestBody"`
		Responses map[string]json.RawMessage `json:"responses"`
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return Operation{}, fmt.Errorf("read %s %s: %w", method, path, err)
	}
	op := Operation{Method: strings.ToUpper(method), Path: path, params: raw.Parameters, answers: map[string]bool{}}
	for _, p := range op.params {
		p.Schema.prepare()
	}
	for _, media := range slices.Sorted(maps.Keys(raw.Body.Content)) {
		op.media = append(op.media, media)
		op.body = raw.Body.Content[media].Schema
		op.body.prepare()
	}
	for status := range raw.Responses {
		op.answers[status] = true
	}
	return op, nil
}

func (s *schema) prepare() {
	if s == nil || s.names != nil {
		return
	}
	s.names = append([]string{}, slices.Sorted(maps.Keys(s.Properties))...)
	for _, p := range s.Properties {
		p.prepare()
	}
	for _, o := range s.OneOf {
		o.prepare()
	}
	s.Items.prepare()
	if len(s.More) > 0 && s.More[0] == '{' {
		s.more = &schema{}
		if json.Unmarshal(s.More, s.more) == nil {
			s.more.prepare()
		}
	}
}

func (d *Document) resolve(s *schema) *schema {
	for s != nil && s.Ref != "" {
		s = d.schemas[strings.TrimPrefix(s.Ref, "#/components/schemas/")]
	}
	return s
}

func (s *schema) is(kind string) bool {
	switch t := s.Type.(type) {
	case string:
		return t == kind
	case []any:
		return slices.Contains(t, any(kind))
	}
	return false
}

var quoted = regexp.MustCompile(`"([a-z][a-z0-9-]*)"`)

// choices returns the words that a description quotes: for most fields that take
// one of a few words, these.
func choices(description string) []string {
	var out []string
	for _, m := range quoted.FindAllStringSubmatch(description, -1) {
		out = append(out, m[1])
	}
	return out
}
