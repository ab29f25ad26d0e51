package wire

// Elasticity is whether and how a pod grows and shrinks by itself.
type Elasticity struct {
	Enabled bool   `json:"enabled" doc:"false: people set the number of nodes."`
	Min     Count  `json:"min,omitempty" doc:"The fewest nodes. Default 1."`
	Max     Count  `json:"max,omitempty" doc:"The most nodes. Default: the pod's max_nodes."`
	Mode    string `json:"mode,omitempty" doc:"\"act\" (the default) carries decisions out; \"dry-run\" only records them."`
	Policy  Policy `json:"policy,omitempty" doc:"The policy: an object with a kind and that kind's settings. Default {\"kind\":\"threshold\",\"lower\":0.3,\"upper\":0.7}."`

	// LowerThreshold and UpperThreshold are a short way to write a policy: they
	// set lower and upper of the pod's threshold policy, or of the one that
	// policy wraps, and replace a policy that has none. They are never read.
	LowerThreshold *float64 `json:"lower_threshold,omitempty" doc:"A short way to set \"lower\" of the threshold policy. Never in answers." minimum:"0" maximum:"1" writeOnly:"true"`
	UpperThreshold *float64 `json:"upper_threshold,omitempty" doc:"A short way to set \"upper\" of the threshold policy. Never in answers." minimum:"0" maximum:"1" writeOnly:"true"`

	Status *ElasticityStatus `json:"status,omitempty" doc:"What the server adds. Ignored when written." readOnly:"true"`
}

// ElasticityStatus is what the server adds to an elasticity.
type ElasticityStatus struct {
	Want   int    `json:"want" doc:"The number of nodes that the pod should have."`
	Reason string `json:"reason,omitempty" doc:"The sentence of the last decision."`
}
