package elastic_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/elastic"
)

// objectSchema is as much of JSON Schema as the built-in kinds use.
type objectSchema struct {
	Type                 string
	Title, Description   string
	Required             []string
	AdditionalProperties *bool
	Properties           map[string]struct {
		Ref                                string `json:"$ref"`
		Const, Type, Description           string
		Enum                               []string
		Default                            any
		Minimum, Maximum                   *float64
		ExclusiveMinimum, ExclusiveMaximum *float64
	}
}

func schemas(t *testing.T, r *elastic.Registry) map[string]objectSchema {
	t.Helper()
	var schema struct {
		Schema string                     `json:"$schema"`
		Ref    string                     `json:"$ref"`
		Defs   map[string]json.RawMessage `json:"$defs"`
	}
	raw := r.Schema()
	require.NoError(t, json.Unmarshal(raw, &schema))
	assert.Equal(t, "https://json-schema.org/draft/2020-12/schema", schema.Schema)
	assert.Equal(t, "#/$defs/policy", schema.Ref)
	assert.NotContains(t, string(raw), "null")

	var policy struct {
		OneOf []struct {
			Ref string `json:"$ref"`
		}
	}
	require.NoError(t, json.Unmarshal(schema.Defs["policy"], &policy))
	kinds := map[string]objectSchema{}
	for _, one := range policy.OneOf {
		name := strings.TrimPrefix(one.Ref, "#/$defs/policy-")
		var object objectSchema
		require.NoError(t, json.Unmarshal(schema.Defs["policy-"+name], &object), name)
		kinds[name] = object
	}
	assert.Len(t, schema.Defs, len(kinds)+1)
	return kinds
}

// What the schema says and what Parse takes is the same: the fields, which of
// them are required, and the bounds of each.
func TestSchemaAgreesWithParse(t *testing.T) {
	sound := map[string]string{
		"threshold":  `{"kind":"threshold","metric":"cpu","lower":0.3,"upper":0.7,"step":1}`,
		"target":     `{"kind":"target","metric":"rate","value":1,"tolerance":0.1}`,
		"clamp":      `{"kind":"clamp","policy":{"kind":"threshold","lower":0.3,"upper":0.7}}`,
		"cooldown":   `{"kind":"cooldown","up":"1s","down":"1s","policy":{"kind":"threshold","lower":0.3,"upper":0.7}}`,
		"stabilize":  `{"kind":"stabilize","up":"1s","down":"1s","policy":{"kind":"threshold","lower":0.3,"upper":0.7}}`,
		"step-limit": `{"kind":"step-limit","up":1,"down":1,"period":"1s","policy":{"kind":"threshold","lower":0.3,"upper":0.7}}`,
	}
	r := elastic.NewRegistry()
	kinds := schemas(t, r)
	assert.ElementsMatch(t, slices.Collect(maps.Keys(sound)), slices.Collect(maps.Keys(kinds)))
	for name, schema := range kinds {
		var fields map[string]any
		require.NoError(t, json.Unmarshal([]byte(sound[name]), &fields))
		assert.ElementsMatch(t, slices.Collect(maps.Keys(fields)), slices.Collect(maps.Keys(schema.Properties)), name)
		assert.Equal(t, name, schema.Title)
		assert.Equal(t, "object", schema.Type)
		assert.NotEmpty(t, schema.Description, name)
		assert.Equal(t, name, schema.Properties["kind"].Const)
		require.NotNil(t, schema.AdditionalProperties, name)
		assert.False(t, *schema.AdditionalProperties)

		// with parses the sound policy with one field changed, or without it.
		with := func(field string, value any) error {
			changed := maps.Clone(fields)
			if changed[field] = value; value == nil {
				delete(changed, field)
			}
			raw, err := json.Marshal(changed)
			require.NoError(t, err)
			_, err = r.Parse(raw)
			return err
		}
		require.NoError(t, with("kind", name))
		require.Error(t, with("other", 1), "%s with an unknown field", name)
		for field, p := range schema.Properties {
			what := fmt.Sprintf("%s.%s", name, field)
			if field == "kind" {
				assert.Contains(t, schema.Required, field)
				continue
			}
			assert.NotEmpty(t, p.Description, what)
			if slices.Contains(schema.Required, field) {
				assert.Error(t, with(field, nil), "%s left out", what)
			} else {
				assert.NoError(t, with(field, nil), "%s left out", what)
				assert.NotNil(t, p.Default, what)
				assert.NoError(t, with(field, p.Default), "%s: the default", what)
			}
			for _, e := range p.Enum {
				err := with(field, e)
				var faults elastic.Faults
				if errors.As(err, &faults) {
					assert.NotEqual(t, field, faults[0].Path, "%s: %s", what, e)
				}
			}
			if len(p.Enum) > 0 {
				assert.Error(t, with(field, "other"), what)
			}
			bound := func(limit *float64, by float64, taken bool) {
				if limit == nil {
					return
				}
				err := with(field, *limit+by)
				refused := err != nil && slices.ContainsFunc(faultsOf(err), func(f elastic.Fault) bool {
					return f.Path == field && strings.Contains(f.Problem, "out of range")
				})
				assert.Equal(t, taken, !refused, "%s of %v: %v", what, *limit+by, err)
			}
			bound(p.Minimum, 0, true)
			bound(p.Minimum, -1, false)
			bound(p.Maximum, 0, true)
			bound(p.Maximum, 1, false)
			bound(p.ExclusiveMinimum, 0, false)
			bound(p.ExclusiveMinimum, 1e-6, true)
			bound(p.ExclusiveMaximum, 0, false)
			bound(p.ExclusiveMaximum, -1e-6, true)
		}
	}
}

func faultsOf(err error) elastic.Faults {
	var faults elastic.Faults
	errors.As(err, &faults)
	return faults
}

// night is a policy of somebody else's.
type night struct {
	From int `json:"from"`
	To   int `json:"to,omitempty"`
}

func (n *night) Decide(o elastic.Observation) elastic.Decision {
	return elastic.Hold(o.Want, elastic.RuleNote, "")
}

func nightKind() elastic.Kind {
	return elastic.Kind{
		Name:    "night",
		Summary: "Sleeps.",
		Schema:  json.RawMessage(`{"properties":{"from":{"type":"integer"},"to":{"type":"integer"}},"required":["from"]}`),
		New: func(raw json.RawMessage, _ *elastic.Registry) (elastic.Policy, error) {
			var n night
			if err := elastic.Decode(raw, &n); err != nil {
				return nil, err
			}
			if n.From == 13 {
				return nil, errors.New("no night begins at 13")
			}
			if n.From == 14 {
				return nil, nil
			}
			return &n, nil
		},
	}
}

func TestRegister(t *testing.T) {
	r := elastic.NewRegistry()
	require.NoError(t, r.Register(nightKind()))
	p, err := r.Parse(json.RawMessage(`{"kind":"cooldown","down":"5s","policy":{"kind":"night","from":22}}`))
	require.NoError(t, err)
	assert.Equal(t, &night{From: 22}, p.(*elastic.Cooldown).Policy)

	for raw, says := range map[string]string{
		`{"kind":"clamp","policy":{"kind":"night"}}`:           `policy.from: is missing; use a whole number`,
		`{"kind":"clamp","policy":{"kind":"night","from":13}}`: `policy: night: no night begins at 13`,
		`{"kind":"night","from":14}`:                           `kind: "night" made no policy`,
		`{"kind":"nigth","from":14}`:                           `did you mean "night"?`,
	} {
		_, err := r.Parse(json.RawMessage(raw))
		require.ErrorContains(t, err, says)
	}
	_, err = elastic.NewRegistry().Parse(json.RawMessage(`{"kind":"night","from":22}`))
	require.ErrorContains(t, err, `"night" is unknown`, "other registries know nothing of it")

	kinds := schemas(t, r)
	assert.Equal(t, []string{"kind", "from"}, kinds["night"].Required)
	assert.Equal(t, "Sleeps.", kinds["night"].Description)
	names := []string{}
	for _, k := range r.Kinds() {
		names = append(names, k.Name)
	}
	assert.Equal(t, []string{"clamp", "cooldown", "night", "stabilize", "step-limit", "target", "threshold"}, names)

	for name, spoil := range map[string]func(*elastic.Kind){
		"taken":      func(k *elastic.Kind) {},
		"no name":    func(k *elastic.Kind) { k.Name = "" },
		"bad name":   func(k *elastic.Kind) { k.Name = "Night Shift" },
		"no New":     func(k *elastic.Kind) { k.Name, k.New = "b", nil },
		"bad schema": func(k *elastic.Kind) { k.Name, k.Schema = "c", json.RawMessage(`[]`) },
		"no JSON":    func(k *elastic.Kind) { k.Name, k.Schema = "d", json.RawMessage(`{`) },
		"null":       func(k *elastic.Kind) { k.Name, k.Schema = "e", json.RawMessage(`null`) },
	} {
		k := nightKind()
		spoil(&k)
		require.ErrorContains(t, r.Register(k), "elastic: register policy kind", name)
	}
	open := nightKind()
	open.Name, open.Schema = "open", nil
	require.NoError(t, r.Register(open))
	assert.Nil(t, schemas(t, r)["open"].AdditionalProperties, "nothing is known of its fields")
}

func TestCanonical(t *testing.T) {
	r := elastic.NewRegistry()
	raw := json.RawMessage(` { "policy" : {"upper":0.70, "lower" : 3e-1,"kind":"threshold"}, "down":"60s", "kind":"cooldown" } `)
	got, err := r.Canonical(raw)
	require.NoError(t, err)
	assert.Equal(t, `{"kind":"cooldown","down":"60s","policy":{"kind":"threshold","lower":3e-1,"upper":0.70}}`, string(got))
	again, err := r.Canonical(got)
	require.NoError(t, err)
	assert.Equal(t, string(got), string(again))

	one, err := r.Parse(raw)
	require.NoError(t, err)
	two, err := r.Parse(got)
	require.NoError(t, err)
	assert.Equal(t, one, two)

	_, err = r.Canonical(json.RawMessage(`{"kind":"threshold"}`))
	require.ErrorContains(t, err, "lower: is missing")
}

func TestDecodeIsForStructs(t *testing.T) {
	var n int
	require.ErrorContains(t, elastic.Decode(json.RawMessage(`{}`), &n), "not a pointer to a struct")
	require.ErrorContains(t, elastic.Decode(json.RawMessage(`{}`), night{}), "not a pointer to a struct")
	var all struct {
		On      bool              `json:"on"`
		Names   []string          `json:"names"`
		Of      map[string]int    `json:"of"`
		D       *elastic.Duration `json:"d"`
		Skipped int               `json:"-"`
		Bare    int
	}
	err := elastic.Decode(json.RawMessage(`{"on":1,"names":{},"of":[],"d":[],"Skipped":1,"Bare":1}`), &all)
	require.Error(t, err)
	says := []string{
		`Bare: is unknown; use "on", "names", "of" or "d"`, "Skipped: is unknown", `d: [] is not a duration; use a duration such as "60s" or "5m"`,
		"names: is an object; use a list", "of: is a list; use an object", "on: is the number 1; use true or false",
	}
	for i, f := range faultsOf(err) {
		assert.Contains(t, f.String(), says[i])
	}
	assert.Len(t, faultsOf(err), len(says))
}

func FuzzParse(f *testing.F) {
	f.Add(`{"kind":"cooldown","down":"60s","policy":{"kind":"threshold","lower":0.3,"upper":0.7}}`)
	f.Add(`{"kind":"target","metric":"cpu","value":0.7,"tolerance":0}`)
	f.Add(`{"kind":"step-limit","up":1,"period":"15s","policy":{"kind":"stabilize","down":"5m","policy":{"kind":"clamp","policy":5}}}`)
	r := elastic.NewRegistry()
	f.Fuzz(func(t *testing.T, raw string) {
		p, err := r.Parse(json.RawMessage(raw))
		if err != nil {
			require.NotEmpty(t, faultsOf(err))
			require.Nil(t, p)
			return
		}
		// What was taken is sound, can be written, and is the same when read again.
		require.NoError(t, p.(interface{ Validate() error }).Validate())
		written, err := json.Marshal(p)
		require.NoError(t, err)
		again, err := r.Parse(written)
		require.NoError(t, err)
		require.Equal(t, p, again)
		_, err = r.Canonical(json.RawMessage(raw))
		require.NoError(t, err)
	})
}
