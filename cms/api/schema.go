package api

import (
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/elastipod/elastipod/cms/wire"
)

// valueExtension marks schemas of the wire's value types, which have a way of
// their own to be written.
const valueExtension = "x-elastipod-type"

// The schemas of the wire's value types, which themselves know nothing of
// OpenAPI.
type (
	bytesSchema    struct{}
	durationSchema struct{}
	coresSchema    struct{}
	countSchema    struct{}
	policySchema   struct{}
)

func (bytesSchema) Schema(huma.Registry) *huma.Schema {
	return valueSchema("bytes", &huma.Schema{
		OneOf: []*huma.Schema{
			{Type: huma.TypeString, Pattern: wire.BytesPattern},
			{Type: huma.TypeInteger, Format: "int64", Minimum: number(1)},
		},
		Description: "An amount of memory: a number of bytes, or a string with a unit (B, kB, MB, GB, TB, KiB, MiB, GiB, TiB).",
		Examples:    []any{"300MiB"},
	})
}

func (durationSchema) Schema(huma.Registry) *huma.Schema {
	return valueSchema("duration", &huma.Schema{
		Type:        huma.TypeString,
		Pattern:     `^\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))*$`,
		Description: "A duration above 0 as Go writes it.",
		Examples:    []any{"30s"},
	})
}

func (coresSchema) Schema(huma.Registry) *huma.Schema {
	return valueSchema("cores", &huma.Schema{Type: huma.TypeNumber, Format: "double", ExclusiveMinimum: number(0)})
}

func (countSchema) Schema(huma.Registry) *huma.Schema {
	return valueSchema("count", &huma.Schema{Type: huma.TypeInteger, Format: "int64", Minimum: number(1)})
}

func (policySchema) Schema(huma.Registry) *huma.Schema {
	return valueSchema("policy", &huma.Schema{
		Type:                 huma.TypeObject,
		Properties:           map[string]*huma.Schema{"kind": {Type: huma.TypeString}},
		Required:             []string{"kind"},
		AdditionalProperties: true,
	})
}

func valueSchema(kind string, s *huma.Schema) *huma.Schema {
	s.Extensions = map[string]any{valueExtension: kind}
	return s
}

func number(x float64) *float64 { return &x }

func newRegistry() huma.Registry {
	r := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	r.RegisterTypeAlias(reflect.TypeFor[wire.Bytes](), reflect.TypeFor[bytesSchema]())
	r.RegisterTypeAlias(reflect.TypeFor[wire.Duration](), reflect.TypeFor[durationSchema]())
	r.RegisterTypeAlias(reflect.TypeFor[wire.Cores](), reflect.TypeFor[coresSchema]())
	r.RegisterTypeAlias(reflect.TypeFor[wire.Count](), reflect.TypeFor[countSchema]())
	r.RegisterTypeAlias(reflect.TypeFor[wire.Policy](), reflect.TypeFor[policySchema]())
	// Errors that huma itself writes become problems too; see transform.
	r.RegisterTypeAlias(reflect.TypeFor[huma.ErrorModel](), reflect.TypeFor[wire.ProblemDetails]())
	return r
}

// schemaOf returns the schema of a type that crosses the wire.
func schemaOf[T any](r huma.Registry) *huma.Schema {
	return r.Schema(reflect.TypeFor[T](), true, "")
}
