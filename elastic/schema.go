package elastic

import (
	"encoding/json"
	"slices"
)

// Schema returns a JSON Schema (2020-12) of every policy that [Registry.Parse]
// takes: "#/$defs/policy" is one of the kinds, each of which stands under
// "#/$defs/policy-NAME" and may hold another policy. Bounds that a schema can't
// say, such as the distance of two thresholds, are in the descriptions.
func (r *Registry) Schema() json.RawMessage {
	type ref struct {
		Ref string `json:"$ref"`
	}
	defs := map[string]any{}
	var kinds []ref
	for _, k := range r.Kinds() {
		defs["policy-"+k.Name] = k.object()
		kinds = append(kinds, ref{"#/$defs/policy-" + k.Name})
	}
	defs["policy"] = map[string]any{
		"description": "A policy, chosen by its kind.",
		"oneOf":       kinds,
	}
	// Everything in here was JSON when it was registered.
	raw, err := json.Marshal(map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"$ref":    "#/$defs/policy",
		"$defs":   defs,
	})
	if err != nil {
		return json.RawMessage("true")
	}
	return raw
}

// object returns the schema of a kind with its "kind" property.
func (k Kind) object() map[string]any {
	object := map[string]any{}
	if json.Unmarshal(k.Schema, &object) != nil || object == nil {
		object = map[string]any{}
	}
	object["type"] = "object"
	object["title"] = k.Name
	if k.Summary != "" {
		object["description"] = k.Summary
	}
	properties, _ := object["properties"].(map[string]any)
	if properties == nil {
		properties = map[string]any{}
	}
	properties["kind"] = map[string]any{"const": k.Name}
	object["properties"] = properties
	required, _ := object["required"].([]any)
	if !slices.Contains(required, any("kind")) {
		required = append([]any{"kind"}, required...)
	}
	object["required"] = required
	if _, set := object["additionalProperties"]; !set && len(k.Schema) > 0 {
		object["additionalProperties"] = false
	}
	return object
}
