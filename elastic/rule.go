package elastic

import "strconv"

// Rule is what kind of reasoning a [Step] stands for.
type Rule uint8

// The rules. Those of the manager come last; a policy of one's own uses
// [RuleNote] and says in [Step.Note] what it did.
const (
	RuleNone       Rule = iota
	RuleNote            // Note says it all
	RuleMissing         // Metric was not measured: keep the number
	RuleAboveUpper      // Value over the upper threshold Bound
	RuleBelowLower      // Value under the lower threshold Bound
	RuleWithin          // Value between the thresholds, or the ends of a target's tolerance, Bound and Upper
	RuleTarget          // Value against the target Bound
	RuleStarting        // Value nodes are starting: wait for them
	RuleMin             // the lower bound Bound
	RuleMax             // the upper bound Bound
	RuleCooldown        // Value seconds since the last change, of Bound
	RuleStabilize       // the highest (or lowest) wish of the last Bound seconds
	RuleStepLimit       // at most Bound nodes at a time, or within Value seconds where that is not 0
	RuleManual          // elasticity is off: the number that people set
	RulePaused          // the pod is paused: keep the number
	RuleUnobserved      // observing failed: keep the number; Note says what failed
	RuleCapacity        // room on the hosts for To only; Note says where
	RuleEnabled         // elasticity was switched on: brought inside the bounds
	RuleDryRun          // what would have been done; the number stays
	RuleProjected       // with From nodes Metric would be Value, over the upper threshold Bound
	ruleCount
)

// ruleInfo says how each rule is called on the wire, and which fields of a
// [Step] mean something under it.
var ruleInfo = [ruleCount]struct {
	name         string
	value, bound bool
}{
	RuleNone:       {"none", false, false},
	RuleNote:       {"note", false, false},
	RuleMissing:    {"missing", false, false},
	RuleAboveUpper: {"above-upper", true, true},
	RuleBelowLower: {"below-lower", true, true},
	RuleWithin:     {"within", true, true},
	RuleTarget:     {"target", true, true},
	RuleStarting:   {"starting", true, false},
	RuleMin:        {"min", false, true},
	RuleMax:        {"max", false, true},
	RuleCooldown:   {"cooldown", true, true},
	RuleStabilize:  {"stabilize", false, true},
	RuleStepLimit:  {"step-limit", true, true},
	RuleManual:     {"manual", false, false},
	RulePaused:     {"paused", false, false},
	RuleUnobserved: {"unobserved", false, false},
	RuleCapacity:   {"capacity", false, false},
	RuleEnabled:    {"enabled", false, false},
	RuleDryRun:     {"dry-run", false, false},
	RuleProjected:  {"projected", true, true},
}

// String returns the rule's name on the wire, such as "above-upper".
func (r Rule) String() string {
	if r >= ruleCount {
		return "rule(" + strconv.Itoa(int(r)) + ")"
	}
	return ruleInfo[r].name
}

// MarshalText returns the rule's name.
func (r Rule) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads a rule's name. One that it doesn't know, as a later
// version may have written it, becomes [RuleNote].
func (r *Rule) UnmarshalText(text []byte) error {
	*r = RuleNote
	for i := range ruleInfo {
		if ruleInfo[i].name == string(text) {
			*r = Rule(i)
		}
	}
	return nil
}
