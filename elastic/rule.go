package elastic

// Rule is what kind of reasoning a [Step] stands for.
type Rule uint8

// The rules. Those of the manager come last; a policy of one's own uses
// [RuleNote] and says in [Step.Note] what it did.
const (
	RuleNone         Rule = iota
	RuleNote              // Note says it all
	RuleMissing           // Metric was not measured: keep the number
	RuleAboveUpper        // Value over the upper threshold Bound
	RuleBelowLower        // Value under the lower threshold Bound
	RuleWithin            // Value between the thresholds, or within the tolerance of the target Bound
	RuleTarget            // Value against the target Bound
	RuleStarting          // nodes are starting: wait for them before adding more
	RuleMin               // the lower bound Bound
	RuleMax               // the upper bound Bound
	RuleCooldown          // Value seconds since the last change, of Bound
	RuleStabilize         // the highest (or lowest) wish of the last Bound seconds
	RuleStepLimit         // at most Bound nodes at a time
	RuleManual            // elasticity is off: the number that people set
	RulePaused            // the pod is paused: keep the number
	RuleUnobserved        // observing failed: keep the number; Note says what failed
	RuleCapacity          // room on the hosts for To only; Note says where
	RuleEnabled           // elasticity was switched on: brought inside the bounds
	RuleDryRun            // what would have been done; the number stays
)
