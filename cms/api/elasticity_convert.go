package api

import (
	"encoding/json"
	"strings"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/elastic"
)

// ElasticitySpec turns an elasticity as users write it into what the manager
// takes, for a pod of at most maxNodes nodes. What is left out gets its default;
// the short thresholds go into the policy; the status is ignored. It returns
// every fault as [cms.Faults], with paths as they stand on the wire.
func ElasticitySpec(e wire.Elasticity, maxNodes int, policies *elastic.Registry) (cms.Elasticity, error) {
	out := cms.Elasticity{
		Enabled:    e.Enabled,
		Min:        int(e.Min),
		Max:        int(e.Max),
		Mode:       cms.Mode(e.Mode),
		PolicyJSON: json.RawMessage(e.Policy),
	}.WithDefaults(maxNodes)
	if e.LowerThreshold != nil || e.UpperThreshold != nil {
		out.PolicyJSON = withThresholds(out.PolicyJSON, e.LowerThreshold, e.UpperThreshold)
	}
	var f cms.Faults
	f.NestErr("", out.Validate(maxNodes, policies))
	for i, x := range f { // the short thresholds stand elsewhere on the wire
		inPolicy := strings.HasPrefix(x.Path, "policy.")
		switch {
		case inPolicy && e.LowerThreshold != nil && strings.HasSuffix(x.Path, ".lower"):
			f[i].Path = "lower_threshold"
		case inPolicy && e.UpperThreshold != nil && strings.HasSuffix(x.Path, ".upper"):
			f[i].Path = "upper_threshold"
		}
	}
	if len(f) > 0 {
		return cms.Elasticity{}, f
	}
	return out, nil
}

// withThresholds sets lower and upper of the threshold policy in p, which may be
// wrapped in others; where there is none, a threshold policy takes p's place.
func withThresholds(p json.RawMessage, lower, upper *float64) json.RawMessage {
	for _, base := range []string{string(p), cms.DefaultPolicy} {
		whole, refused := parseObject([]byte(base))
		policy := whole
		for refused == nil && policy != nil && policy["kind"] != "threshold" {
			policy, _ = policy["policy"].(map[string]any)
		}
		if policy == nil {
			continue
		}
		if lower != nil {
			policy["lower"] = *lower
		}
		if upper != nil {
			policy["upper"] = *upper
		}
		if out, err := json.Marshal(whole); err == nil {
			return out
		}
	}
	return p
}

// Elasticity returns the elasticity of a pod as users see it.
func Elasticity(s cms.PodStatus) wire.Elasticity {
	e := elasticitySettings(s.Elasticity)
	e.Status = &wire.ElasticityStatus{Want: s.Want, Reason: reason(s)}
	return e
}

func elasticitySettings(e cms.Elasticity) wire.Elasticity {
	return wire.Elasticity{
		Enabled: e.Enabled,
		Min:     wire.Count(e.Min),
		Max:     wire.Count(e.Max),
		Mode:    string(e.Mode),
		Policy:  wire.Policy(e.PolicyJSON),
	}
}
