package wire

// PolicyKind is a kind of policy that the server knows.
type PolicyKind struct {
	Kind    string         `json:"kind" doc:"What \"kind\" says in a policy."`
	Summary string         `json:"summary,omitempty" doc:"One sentence for people."`
	Schema  map[string]any `json:"schema" doc:"A JSON Schema (2020-12) of its settings without kind; {} where it does not tell. A property that refers to #/$defs/policy holds another policy."`
}
