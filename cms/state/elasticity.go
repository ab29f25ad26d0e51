package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/internal/fault"
	"github.com/elastipod/elastipod/pod"
)

// Mode is whether an elastic pod's decisions are carried out.
type Mode string

// The modes of elasticity.
const (
	ModeAct    Mode = "act"     // decisions are carried out
	ModeDryRun Mode = "dry-run" // decisions are recorded only
)

// Elasticity is whether and how a pod grows and shrinks by itself.
type Elasticity struct {
	Enabled bool // false: people set the number of nodes
	// Min and Max bound the number of nodes: 1 <= Min <= Max <= MaxNodes,
	// and for a pod for jobs 0 <= Min.
	Min, Max int
	Mode     Mode // default [ModeAct]
	// Policy is the policy as a value. Setting elasticity turns it into
	// PolicyJSON; what is read back has that alone.
	Policy elastic.Policy `json:"-"`
	// PolicyJSON is the policy's JSON, as [elastic.Registry.Parse] takes it.
	PolicyJSON json.RawMessage `json:"Policy,omitempty"`
}

// DefaultPolicy is the policy of a pod whose user chose none.
const DefaultPolicy = `{"kind":"threshold","lower":0.3,"upper":0.7}`

// WithDefaults returns the elasticity with unset fields filled in for a service
// pod of at most maxNodes nodes.
func (e Elasticity) WithDefaults(maxNodes int) Elasticity {
	return e.For(pod.Spec{Kind: pod.KindService, MaxNodes: maxNodes})
}

// For returns the elasticity with unset fields filled in for a pod. A pod for
// jobs may have no node at all: its Min stays 0 where it is.
func (e Elasticity) For(s pod.Spec) Elasticity {
	if e.Min == 0 {
		e.Min = leastMin(s)
	}
	if e.Max == 0 {
		e.Max = s.MaxNodes
	}
	if e.Mode == "" {
		e.Mode = ModeAct
	}
	if len(e.PolicyJSON) == 0 {
		e.PolicyJSON = json.RawMessage(DefaultPolicy)
	}
	e.PolicyJSON = slices.Clone(e.PolicyJSON)
	return e
}

// leastMin is the least number of nodes to which a pod may shrink: jobs wait in
// a queue while there is no node, requests cannot.
func leastMin(s pod.Spec) int {
	if s.Kind == pod.KindJob {
		return 0
	}
	return 1
}

// Validate returns every fault for a service pod as [fault.List], or nil.
func (e Elasticity) Validate(maxNodes int, policies *elastic.Registry) error {
	return e.ValidateFor(pod.Spec{Kind: pod.KindService, MaxNodes: maxNodes}, policies)
}

// ValidateFor returns every fault for a pod as [fault.List], or nil.
func (e Elasticity) ValidateFor(s pod.Spec, policies *elastic.Registry) error {
	var f fault.List
	f.NestErr("", e.CheckBounds(s))
	if _, err := policies.Parse(e.PolicyJSON); err != nil {
		f.NestErr("policy", err)
	}
	return f.Err()
}

// CheckBounds returns every fault of all but the policy as [fault.List], or nil.
func (e Elasticity) CheckBounds(s pod.Spec) error {
	var f fault.List
	maxNodes := s.MaxNodes
	if least := leastMin(s); e.Min < least {
		allowed := "use at least 0"
		if least > 0 {
			allowed = "use at least 1: requests cannot wait while there is no node"
		}
		f.Add("min", allowed, "%d is too small", e.Min)
	}
	if e.Max < e.Min {
		f.Add("max", "use at least min ("+strconv.Itoa(e.Min)+")", "%d is below min", e.Max)
	}
	if e.Max > maxNodes {
		f.Add("max", "use at most the pod's max_nodes ("+strconv.Itoa(maxNodes)+")", "%d is above it", e.Max)
	}
	switch e.Mode {
	case ModeAct, ModeDryRun:
	default:
		f.Add("mode", `use "act" or "dry-run"`, "%q is unknown", e.Mode)
	}
	return f.Err()
}

// Stored returns the elasticity with its Policy turned into PolicyJSON. The
// error is a [fault.List]: the policy has no JSON that policies could read.
func (e Elasticity) Stored(policies *elastic.Registry) (Elasticity, error) {
	if e.Policy == nil {
		return e, nil
	}
	var f fault.List
	text, err := json.Marshal(e.Policy)
	if _, known := e.Policy.(json.Marshaler); !known {
		err = errors.New("it has no MarshalJSON")
	}
	if err == nil {
		_, err = policies.Parse(text)
	}
	var wrong fault.List
	switch {
	case err == nil:
	case errors.As(err, &wrong) && !strings.HasSuffix(wrong[0].Path, "kind"):
		f.Nest("policy", wrong)
	default:
		f.Add("policy", "give it a MarshalJSON that writes its kind, and add that kind with Registry.Register", "%T cannot be stored: %v", e.Policy, err)
	}
	e.Policy, e.PolicyJSON = nil, text
	return e, f.Err()
}

// SameBounds says whether two elasticities differ in nothing but their policy.
func (e Elasticity) SameBounds(o Elasticity) bool {
	return e.Enabled == o.Enabled && e.Min == o.Min && e.Max == o.Max && e.Mode == o.Mode
}

// SamePolicy says whether two elasticities have the same policy.
func (e Elasticity) SamePolicy(o Elasticity) bool {
	return string(e.PolicyJSON) == string(o.PolicyJSON)
}

// Inside brings a wanted number inside of the bounds, where elasticity acts.
func (e Elasticity) Inside(want int) int {
	if e.Enabled && e.Mode == ModeAct {
		return min(max(want, e.Min), e.Max)
	}
	return want
}

// Describe says in a sentence what elasticity does for a pod of that name.
func (e Elasticity) Describe(podName string) string {
	if !e.Enabled {
		return fmt.Sprintf("elasticity of pod %s is off", podName)
	}
	if e.Mode == ModeDryRun {
		return fmt.Sprintf("elasticity of pod %s is on as a dry run, for %d to %d nodes", podName, e.Min, e.Max)
	}
	return fmt.Sprintf("elasticity of pod %s is on, for %d to %d nodes", podName, e.Min, e.Max)
}
