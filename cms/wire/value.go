package wire

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// Cores is an amount of CPU, in cores. Decoding refuses what is not above 0: a
// 0 would be taken for the default.
type Cores float64

// Count is a whole number of at least 1. Decoding refuses others: a 0 would be
// taken for the default.
type Count int

// Texts of what a value type takes; the API's schemas show them too.
const (
	AllowedCores    = "use a number of cores above 0, such as 0.5, or leave it out for the default"
	AllowedCount    = "use a whole number of at least 1, or leave it out for the default"
	AllowedBytes    = `use an amount above 0 such as "300MiB" or "1GB", or a number of bytes`
	AllowedDuration = `use a duration above 0 such as "30s" or "1m30s", or leave it out for the default`
	AllowedPolicy   = `use an object with a kind, such as {"kind":"threshold","lower":0.3,"upper":0.7}`
)

// ParseCores returns the amount that a number, as JSON and YAML write it, says.
func ParseCores(s string) (Cores, error) {
	x, err := strconv.ParseFloat(s, 64)
	if err != nil || !(x > 0) || math.IsInf(x, 0) {
		return 0, fmt.Errorf("%.40q is not an amount of CPU; %s", s, AllowedCores)
	}
	return Cores(x), nil
}

// ParseCount returns the number that s says.
func ParseCount(s string) (Count, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%.40q is not such a number; %s", s, AllowedCount)
	}
	return Count(n), nil
}

// UnmarshalJSON reads a number.
func (c *Cores) UnmarshalJSON(data []byte) error { return fromJSON(c, data, ParseCores) }

// UnmarshalYAML reads a number.
func (c *Cores) UnmarshalYAML(node ast.Node) error { return fromYAML(c, node, ParseCores) }

// UnmarshalJSON reads a number.
func (c *Count) UnmarshalJSON(data []byte) error { return fromJSON(c, data, ParseCount) }

// UnmarshalYAML reads a number.
func (c *Count) UnmarshalYAML(node ast.Node) error { return fromYAML(c, node, ParseCount) }

// fromJSON reads a JSON number; a null leaves the value as it is, as everywhere
// in encoding/json.
func fromJSON[T any](v *T, data []byte, parse func(string) (T, error)) error {
	s := string(data)
	if s == "null" {
		return nil
	}
	x, err := parse(s)
	if err == nil {
		*v = x
	} else if s[0] == '"' {
		_, allowed, _ := strings.Cut(err.Error(), "; ")
		return fmt.Errorf("%.40s is a string; %s", s, allowed)
	}
	return err
}

// fromYAML reads a scalar, quoted or not; errors carry line and column.
func fromYAML[T any](v *T, node ast.Node, parse func(string) (T, error)) error {
	switch n := node.(type) {
	case *ast.AnchorNode:
		return fromYAML(v, n.Value, parse)
	case *ast.TagNode:
		return fromYAML(v, n.Value, parse)
	case *ast.NullNode:
		return nil
	case ast.ScalarNode:
		x, err := parse(strings.TrimSpace(scalarText(n)))
		if err != nil {
			return &yaml.SyntaxError{Message: err.Error(), Token: node.GetToken()}
		}
		*v = x
		return nil
	}
	_, err := parse(node.Type().YAMLName())
	return &yaml.SyntaxError{Message: err.Error(), Token: node.GetToken()}
}

func scalarText(n ast.ScalarNode) string {
	if s, ok := n.GetValue().(string); ok {
		return s
	}
	return n.GetToken().Value
}

// text returns what a JSON string says, or the JSON itself for other values.
func text(data []byte) string {
	var s string
	if json.Unmarshal(data, &s) == nil {
		return s
	}
	return string(data)
}
