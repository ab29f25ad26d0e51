package wire

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// Policy is a policy's settings: the JSON of an object with a kind, such as
// {"kind":"threshold","lower":0.3,"upper":0.7}. Policies that wrap others hold
// them under "policy". In YAML it is written as YAML.
type Policy json.RawMessage

// String returns the JSON.
func (p Policy) String() string { return string(p) }

// MarshalJSON writes the object as it is.
func (p Policy) MarshalJSON() ([]byte, error) {
	if len(p) == 0 {
		return []byte("null"), nil
	}
	return p, nil
}

// UnmarshalJSON reads an object.
func (p *Policy) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	if len(data) == 0 || data[0] != '{' {
		return fmt.Errorf("%.40s is not a policy; %s", data, AllowedPolicy)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, data); err != nil {
		return err
	}
	*p = compact.Bytes()
	return nil
}

// MarshalYAML writes the object as YAML.
func (p Policy) MarshalYAML() (any, error) {
	if len(p) == 0 {
		return nil, nil
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(p))
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return v, nil
}

// UnmarshalYAML reads an object.
func (p *Policy) UnmarshalYAML(node ast.Node) error {
	var v any
	if err := yaml.NodeToValue(node, &v); err != nil {
		return err
	}
	if v == nil {
		return nil
	}
	if _, ok := v.(map[string]any); !ok {
		return &yaml.SyntaxError{Message: "this is not a policy; " + AllowedPolicy, Token: node.GetToken()}
	}
	data, err := json.Marshal(v)
	if err != nil {
		return &yaml.SyntaxError{Message: "this cannot be a policy: " + err.Error(), Token: node.GetToken()}
	}
	*p = data
	return nil
}
