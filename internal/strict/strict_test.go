package strict_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/internal/strict"
)

// even is a type that reads itself.
type even int

func (e *even) UnmarshalJSON(data []byte) error {
	var n int
	if json.Unmarshal(data, &n) != nil || n%2 != 0 {
		return fmt.Errorf("%s is not even; use 2 or 4", data)
	}
	*e = even(n)
	return nil
}

type base struct {
	Name string `json:"name"`
}

type thing struct {
	base
	On      bool              `json:"on,omitempty"`
	Share   *float64          `json:"share,omitempty" minimum:"0" maximum:"1"`
	Small   int8              `json:"small,omitempty"`
	Count   uint8             `json:"count,omitempty"`
	Half    float32           `json:"half,omitempty"`
	Even    even              `json:"even"`
	Env     map[string]string `json:"env,omitempty"`
	Parts   []base            `json:"parts,omitempty"`
	Addr    netip.Addr        `json:"addr,omitzero"`
	Any     any               `json:"any,omitempty"`
	Status  *base             `json:"status,omitempty" readOnly:"true"`
	Skipped int
}

func parse(t *testing.T, text string) any {
	t.Helper()
	v, err := strict.ParseJSON([]byte(text))
	require.NoError(t, err, text)
	return v
}

func TestFill(t *testing.T) {
	var x thing
	require.Empty(t, strict.Fill(parse(t, `{"name":"a","on":true,"share":0.5,"small":-3,"count":200,"half":0.5,"even":4,"env":{"A":"b"},"parts":[{"name":"p"}],"addr":"::1","any":[1],"status":7}`), &x, strict.Options{}))
	half := 0.5
	assert.Equal(t, thing{
		base: base{"a"}, On: true, Share: &half, Small: -3, Count: 200, Half: 0.5, Even: 4, Env: map[string]string{"A": "b"}, Parts: []base{{"p"}},
		Addr: netip.IPv6Loopback(), Any: []any{1.0},
	}, x)
	require.Empty(t, strict.Fill(parse(t, `{"on":null}`), &x, strict.Options{Partial: true}))
	assert.True(t, x.On, "null stands for a field that was left out")
}

func TestFaults(t *testing.T) {
	for in, want := range map[string][]string{
		`{}`:                      {`name: is missing; use a string`, `even: is missing; use 2 or 4`},
		`{"nam":1,"even":2}`:      {`nam: is unknown; did you mean "name"?`, `name: is missing; use a string`},
		`{"name":7,"even":3}`:     {`even: 3 is not even; use 2 or 4`, `name: is a number; use a string, in quotes`},
		`{"Name":"a","even":2}`:   {`Name: is unknown; did you mean "name"?`, `name: is missing; use a string`},
		`[]`:                      {`is a list; use an object that sets "name", "on", "share", "small", "count", "half", "even", "env", "parts", "addr" or "any"`},
		`null`:                    {`is null; use an object that sets "name", "on", "share", "small", "count", "half", "even", "env", "parts", "addr" or "any"`},
		some(`"on":"yes"`):        {`on: is the string "yes"; use true or false`},
		some(`"share":1.5`):       {`share: 1.5 is out of range; use 0 to 1`},
		some(`"share":1e999`):     {`share: 1e999 is too large; use a smaller number`},
		some(`"share":"1"`):       {`share: is the string "1"; use a number`},
		some(`"small":200`):       {`small: is the number 200; use a whole number`},
		some(`"small":1.5`):       {`small: is the number 1.5; use a whole number`},
		some(`"small":-129`):      {`small: is the number -129; use a whole number`},
		some(`"count":-3`):        {`count: is the number -3; use a whole number, 0 or more`},
		some(`"count":256`):       {`count: is the number 256; use a whole number, 0 or more`},
		some(`"half":"x"`):        {`half: is the string "x"; use a number`},
		some(`"env":{"A":true}`):  {`env.A: is true or false; use a string, in quotes`},
		some(`"env":{"A":null}`):  {`env.A: is null; use a string`},
		some(`"env":{"a b":[]}`):  {`env."a b": is a list; use a string`},
		some(`"parts":{}`):        {`parts: is an object; use a list`},
		some(`"parts":[{},true]`): {`parts[0].name: is missing; use a string`, `parts[1]: is true; use an object that sets "name"`},
		some(`"addr":"x"`):        {`addr: ParseAddr("x"): unable to parse IP`},
		some(`"Skipped":1`):       {`Skipped: is unknown; use "name", "on", "share", "small", "count", "half", "even", "env", "parts", "addr" or "any"`},
	} {
		var x thing
		var got []string
		for _, f := range strict.Fill(parse(t, in), &x, strict.Options{}) {
			got = append(got, f.String())
		}
		assert.Equal(t, want, got, in)
	}
}

func some(field string) string { return `{"name":"a","even":2,` + field + `}` }

// What has no fault is there, so that more can be found out about it.
func TestFillsWhatIsRight(t *testing.T) {
	var x thing
	assert.Len(t, strict.Fill(parse(t, `{"name":"a","on":1,"even":2,"other":3}`), &x, strict.Options{}), 2)
	assert.Equal(t, thing{base: base{"a"}, Even: 2}, x)
}

func TestNoNull(t *testing.T) {
	var x thing
	faults := strict.Fill(parse(t, `{"name":null,"even":2,"on":null}`), &x, strict.Options{NoNull: true})
	assert.EqualError(t, faults, `name: is null; use a string, or leave it out | on: is null; use true or false, or leave it out`)
}

func TestFaultsAreBounded(t *testing.T) {
	var x thing
	many := `{"name":"a","even":2,"parts":[` + strings.TrimSuffix(strings.Repeat("7,", 5000), ",") + `]}`
	assert.Len(t, strict.Fill(parse(t, many), &x, strict.Options{}), strict.MaxFaults)
}

func TestSyntax(t *testing.T) {
	for in, want := range map[string]strict.SyntaxError{
		``:                       {Problem: "it ends in the middle", Line: 1, Column: 1},
		"{\n\"a\":1,\n}":         {Problem: "invalid character '}'", Line: 3},
		`{} 1`:                   {Problem: "something follows the value", Line: 1},
		`{"a":{"b":1,"b":2}}`:    {Path: "a.b", Problem: "is given twice", Line: 1, Column: 16},
		strings.Repeat("[", 100): {Problem: "it is nested more than 64 deep", Line: 1},
	} {
		_, err := strict.ParseJSON([]byte(in))
		var e *strict.SyntaxError
		require.True(t, errors.As(err, &e), in)
		assert.Equal(t, want.Path, e.Path, in)
		assert.Contains(t, e.Problem, want.Problem, in)
		assert.Equal(t, want.Line, e.Line, in)
		if want.Column > 0 {
			assert.Equal(t, want.Column, e.Column, in)
		}
	}
	_, err := strict.ParseJSON([]byte(`{"a":1,"a":2}`))
	assert.EqualError(t, err, "a is given twice")
}

func TestSuggest(t *testing.T) {
	names := strict.FieldNames(reflect.TypeFor[struct {
		Listen   string `json:"listen"`
		Stack    string `json:"stack,omitempty"`
		MaxNodes int    `json:"max_nodes"`
		None     int    `json:"-"`
		Seen     int    `json:"seen" readOnly:"true"`
	}]())
	for given, want := range map[string]string{
		"lisetn": `did you mean "listen"?`, "max-nodes": `did you mean "max_nodes"?`, "STACK": `did you mean "stack"?`,
		"zzzzzz": `use "listen", "stack" or "max_nodes"`, "": `use "listen", "stack" or "max_nodes"`,
	} {
		assert.Equal(t, want, strict.Suggest(given, names), given)
	}
	assert.Equal(t, `use "a"`, strict.Suggest("zz", []string{"a"}))
	assert.Empty(t, strict.Nearest("web", nil))
	assert.Empty(t, strict.Nearest("foo", []string{"log"}), "half of a word is another word")
}
