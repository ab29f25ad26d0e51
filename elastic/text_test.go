package elastic

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestStepSentences(t *testing.T) {
	for want, s := range map[string]Step{
		"CPU 0.91 over upper 0.70: 3 → 4":                               {Rule: RuleAboveUpper, From: 3, To: 4, Metric: "CPU", Value: 0.912, Bound: 0.7},
		"CPU 0.701 over upper 0.700: 3 → 4":                             {Rule: RuleAboveUpper, From: 3, To: 4, Metric: "CPU", Value: 0.701, Bound: 0.7},
		"CPU 0.7000001 over upper 0.7: 3 → 4":                           {Rule: RuleAboveUpper, From: 3, To: 4, Metric: "CPU", Value: 0.7000001, Bound: 0.7},
		"memory 0.10 under lower 0.30: 3 → 2":                           {Rule: RuleBelowLower, From: 3, To: 2, Metric: "memory", Value: 0.1, Bound: 0.3},
		"CPU 0.10 under lower 0.30: stay at 1 (the last node stays)":    {Rule: RuleBelowLower, From: 1, To: 1, Metric: "CPU", Value: 0.1, Bound: 0.3, Note: "the last node stays"},
		"CPU 0.55 between 0.30 and 0.70: stay at 3":                     {Rule: RuleWithin, From: 3, To: 3, Metric: "CPU", Value: 0.55, Bound: 0.3, Upper: 0.7},
		"with 1 CPU would be 0.90, over upper 0.60: stay at 2":          {Rule: RuleProjected, From: 1, To: 2, Metric: "CPU", Value: 0.9, Bound: 0.6},
		"in flight per node 12.5 against target 10: 3 → 4":              {Rule: RuleTarget, From: 3, To: 4, Metric: "in flight per node", Value: 12.5, Bound: 10},
		"requests/s per node 1250 against target 1000: 3 → 4":           {Rule: RuleTarget, From: 3, To: 4, Metric: "requests/s per node", Value: 1250, Bound: 1000},
		"CPU not measured: stay at 3":                                   {Rule: RuleMissing, From: 3, To: 3, Metric: "CPU"},
		"value not measured: stay at 3":                                 {Rule: RuleMissing, From: 3, To: 3},
		"1 node is starting: stay at 3":                                 {Rule: RuleStarting, From: 4, To: 3, Value: 1},
		"2 nodes are starting: stay at 3":                               {Rule: RuleStarting, From: 4, To: 3, Value: 2},
		"wanted 9, bounded to max 6":                                    {Rule: RuleMax, From: 9, To: 6, Bound: 6},
		"wanted 0, bounded to min 1":                                    {Rule: RuleMin, From: 0, To: 1, Bound: 1},
		"scale-in held 42 s of 60 s cooldown: stay at 3":                {Rule: RuleCooldown, From: 2, To: 3, Value: 42.97, Bound: 60},
		"scale-out held 2 s of 2.5 s cooldown: stay at 3":               {Rule: RuleCooldown, From: 5, To: 3, Value: 2.4, Bound: 2.5},
		"wanted 2, kept at 5: the highest wish of the last 300 s":       {Rule: RuleStabilize, From: 2, To: 5, Bound: 300},
		"wanted 9, kept at 5: the lowest wish of the last 15 s":         {Rule: RuleStabilize, From: 9, To: 5, Bound: 15},
		"wanted 9, at most 4 added at a time: 7":                        {Rule: RuleStepLimit, From: 9, To: 7, Bound: 4},
		"wanted 1, at most 2 removed in 15 s: 3":                        {Rule: RuleStepLimit, From: 1, To: 3, Bound: 2, Value: 15},
		"set by hand: 3 → 5":                                            {Rule: RuleManual, From: 3, To: 5},
		"paused: stay at 3":                                             {Rule: RulePaused, From: 3, To: 3},
		"not observed: host a does not answer: stay at 3":               {Rule: RuleUnobserved, From: 3, To: 3, Note: "host a does not answer"},
		"want 7, room for 5: host a 0.2 of 2 CPUs free":                 {Rule: RuleCapacity, From: 7, To: 5, Note: "host a 0.2 of 2 CPUs free"},
		"elasticity enabled: 9 → 6":                                     {Rule: RuleEnabled, From: 9, To: 6},
		"dry run: would want 4, stay at 3":                              {Rule: RuleDryRun, From: 4, To: 3},
		"office hours: 3 → 9":                                           {Rule: RuleNote, From: 3, To: 9, Note: "office hours"},
		"3 → 9":                                                         {Rule: RuleNote, From: 3, To: 9},
		"stay at 0":                                                     {},
		"CPU 0.72 between 0.63 and 0.77: stay at 3 (around the target)": {Rule: RuleWithin, From: 3, To: 3, Metric: "CPU", Value: 0.72, Bound: 0.63, Upper: 0.77, Note: "around the target"},
		"in flight per node 0.00 against target 10: 3 → 0":              {Rule: RuleTarget, From: 3, To: 0, Metric: "in flight per node", Bound: 10},
		"CPU NaN over upper 0.70: stay at 3":                            {Rule: RuleAboveUpper, From: 3, To: 3, Metric: "CPU", Value: math.NaN(), Bound: 0.7},
		"stay at 4":                                                     {Rule: 200, From: 4, To: 4},
	} {
		assert.Equal(t, want, s.String())
	}
}

func TestDecisionSentences(t *testing.T) {
	var d Decision
	assert.Equal(t, "", d.String())
	assert.Equal(t, "stay at 0", d.Reason())
	assert.Equal(t, Step{}, d.Last())

	d = Hold(3, RuleMissing, "CPU")
	assert.Equal(t, "CPU not measured: stay at 3", d.String())
	assert.Equal(t, d.String(), d.Reason())

	d = Decision{Want: 3}
	d.Add(Step{Rule: RuleAboveUpper, From: 3, To: 9, Metric: "CPU", Value: 0.9, Bound: 0.7})
	d.Add(Step{Rule: RuleWithin, From: 9, To: 9, Metric: "memory", Value: 0.5, Bound: 0.1, Upper: 0.9})
	d.Clamp(1, 6)
	d.Clamp(1, 6)
	assert.Equal(t, 6, d.Want)
	assert.Equal(t, 3, d.N)
	assert.Equal(t, "CPU 0.90 over upper 0.70: 3 → 9; memory 0.50 between 0.10 and 0.90: stay at 9; wanted 9, bounded to max 6", d.String())
	assert.Equal(t, "CPU 0.90 over upper 0.70: 3 → 9; wanted 9, bounded to max 6", d.Reason())
	assert.Equal(t, RuleMax, d.Last().Rule)

	d.Clamp(8, 9)
	assert.Equal(t, 8, d.Want)
	d.Clamp(9, 5)
	assert.Equal(t, 5, d.Want, "of turned bounds the upper one counts")
	d.Clamp(9, 6)
	assert.Equal(t, 5, d.Want)
}

func TestDecisionKeepsMaxSteps(t *testing.T) {
	var d Decision
	for i := range MaxSteps + 3 {
		d.Add(Step{Rule: RuleNote, From: i, To: i + 1})
	}
	assert.Equal(t, MaxSteps, d.N)
	assert.Equal(t, MaxSteps+3, d.Want)
	assert.Equal(t, MaxSteps+3, d.Last().To)
}

func TestDecisionJSON(t *testing.T) {
	d := Decision{Want: 3}
	d.Add(Step{Rule: RuleAboveUpper, From: 3, To: 9, Metric: "CPU", Value: 0.9, Bound: 0.7})
	d.Add(Step{Rule: RuleMax, From: 9, To: 6, Bound: 6})
	d.Add(Step{Rule: RuleCapacity, From: 6, To: 5, Note: "host a is full"})
	written, err := json.Marshal(d)
	require.NoError(t, err)
	assert.JSONEq(t, `{"want":5,
		"reason":"CPU 0.90 over upper 0.70: 3 → 9; wanted 9, bounded to max 6; want 6, room for 5: host a is full",
		"steps":[
			{"rule":"above-upper","from":3,"to":9,"metric":"CPU","value":0.9,"bound":0.7,"text":"CPU 0.90 over upper 0.70: 3 → 9"},
			{"rule":"max","from":9,"to":6,"bound":6,"text":"wanted 9, bounded to max 6"},
			{"rule":"capacity","from":6,"to":5,"note":"host a is full","text":"want 6, room for 5: host a is full"}]}`, string(written))
	var back Decision
	require.NoError(t, json.Unmarshal(written, &back))
	assert.Equal(t, d, back)

	// What JSON can't say is left out; a measured 0 is not.
	written, err = json.Marshal(Step{Rule: RuleBelowLower, From: 1, To: 1, Value: 0, Bound: math.Inf(1)})
	require.NoError(t, err)
	assert.JSONEq(t, `{"rule":"below-lower","from":1,"to":1,"value":0,"text":"value 0.00 under lower +Inf: stay at 1"}`, string(written))

	within := Step{Rule: RuleWithin, From: 1, To: 1, Metric: "CPU", Value: 0.5, Bound: 0.3, Upper: 0.7}
	written, err = json.Marshal(within)
	require.NoError(t, err)
	var step Step
	require.NoError(t, json.Unmarshal(written, &step))
	assert.Equal(t, within, step)

	written, err = json.Marshal(Decision{})
	require.NoError(t, err)
	assert.JSONEq(t, `{"want":0,"reason":"stay at 0","steps":[]}`, string(written))

	require.ErrorContains(t, json.Unmarshal([]byte(`{"want":"3"}`), &back), "elastic: decision")
	require.ErrorContains(t, json.Unmarshal([]byte(`{"steps":[{"from":"3"}]}`), &back), "elastic: step")
	require.NoError(t, json.Unmarshal([]byte(`{"steps":[{"rule":"of-a-later-version","from":3,"to":4}]}`), &back))
	assert.Equal(t, RuleNote, back.Steps[0].Rule)
}

func TestRulesHaveNames(t *testing.T) {
	names := map[string]bool{}
	for r := range ruleCount {
		require.NotEmpty(t, r.String(), "rule %d", r)
		names[r.String()] = true
		var back Rule
		require.NoError(t, back.UnmarshalText([]byte(r.String())))
		assert.Equal(t, r, back)
	}
	assert.Len(t, names, int(ruleCount))
	assert.Equal(t, "rule(200)", Rule(200).String())
}
