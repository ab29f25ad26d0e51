package api

import (
	"encoding/json"
	"errors"
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
	addFaults(&f, out.Validate(maxNodes, policies), func(path string) string {
		switch {
		case e.LowerThreshold != nil && strings.HasPrefix(path, "policy.") && strings.HasSuffix(path, ".lower"):
			return "lower_threshold"
		case e.UpperThreshold != nil && strings.HasPrefix(path, "policy.") && strings.HasSuffix(path, ".upper"):
			return "upper_threshold"
		}
		return path
	})
	if len(f) > 0 {
		return cms.Elasticity{}, f.Err()
	}
	return out, nil
}

// withThresholds sets lower and upper of the threshold policy in p, which may be
// wrapped in others; where there is none, a threshold policy takes p's place.
func withThresholds(p json.RawMessage, lower, upper *float64) json.RawMessage {
	out, err := setThresholds(p, lower, upper, 0)
	if err != nil {
		out, err = setThresholds(json.RawMessage(cms.DefaultPolicy), lower, upper, 0)
	}
	if err != nil {
		return p
	}
	return out
}

var errNoThreshold = errors.New("no threshold policy")

func setThresholds(p json.RawMessage, lower, upper *float64, depth int) (json.RawMessage, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(p, &object); err != nil || object == nil || depth > elastic.MaxNesting {
		return nil, errNoThreshold
	}
	var kind string
	_ = json.Unmarshal(object["kind"], &kind) // another type is no threshold
	if kind == "threshold" {
		for name, x := range map[string]*float64{"lower": lower, "upper": upper} {
			if x == nil {
				continue
			}
			raw, err := json.Marshal(*x)
			if err != nil {
				return nil, err
			}
			object[name] = raw
		}
		return json.Marshal(object)
	}
	inner, wraps := object["policy"]
	if !wraps {
		return nil, errNoThreshold
	}
	changed, err := setThresholds(inner, lower, upper, depth+1)
	if err != nil {
		return nil, err
	}
	object["policy"] = changed
	return json.Marshal(object)
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
