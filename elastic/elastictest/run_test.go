package elastictest_test

import (
	"testing"
	"time"

	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/elastic/elastictest"
)

func TestPolicies(t *testing.T) {
	threshold := elastic.Threshold{Lower: 0.3, Upper: 0.7, Step: 2}
	for name, newPolicy := range map[string]func() elastic.Policy{
		"threshold":        func() elastic.Policy { return threshold },
		"threshold memory": func() elastic.Policy { return elastic.Threshold{Metric: elastic.MetricMemory, Lower: 0, Upper: 0.1} },
		"target cpu":       func() elastic.Policy { return elastic.Target{Metric: elastic.MetricCPU, Value: 0.7} },
		"target memory":    func() elastic.Policy { return elastic.Target{Metric: elastic.MetricMemory, Value: 1e-9} },
		"target in flight": func() elastic.Policy { return elastic.Target{Metric: elastic.MetricInFlight, Value: 10} },
		"target rate":      func() elastic.Policy { return elastic.Target{Metric: elastic.MetricRate, Value: 1e-3, Tolerance: -1} },
		"clamp":            func() elastic.Policy { return &elastic.Clamp{Policy: threshold} },
		"cooldown": func() elastic.Policy {
			return &elastic.Cooldown{Up: 2 * time.Second, Down: 10 * time.Second, Policy: threshold}
		},
		"stabilize": func() elastic.Policy {
			return &elastic.Stabilize{Up: 2 * time.Second, Down: 10 * time.Second, Policy: threshold}
		},
		"step limit": func() elastic.Policy { return &elastic.StepLimit{Up: 2, Down: 1, Policy: threshold} },
		"step limit in a period": func() elastic.Policy {
			return &elastic.StepLimit{Up: 3, Down: 2, Period: 5 * time.Second, Policy: elastic.Target{Metric: elastic.MetricInFlight, Value: 20}}
		},
		"all in each other": func() elastic.Policy {
			return &elastic.Clamp{Policy: &elastic.Cooldown{Up: time.Second, Down: 5 * time.Second,
				Policy: &elastic.StepLimit{Up: 4, Down: 1, Period: 3 * time.Second,
					Policy: &elastic.Stabilize{Down: 8 * time.Second, Up: time.Second,
						Policy: elastic.Target{Metric: elastic.MetricInFlight, Value: 15}}}}}
		},
		"zero threshold": func() elastic.Policy { return elastic.Threshold{} },
		"zero target":    func() elastic.Policy { return elastic.Target{} },
		"zero clamp":     func() elastic.Policy { return &elastic.Clamp{} },
		"zero cooldown":  func() elastic.Policy { return &elastic.Cooldown{} },
		"zero stabilize": func() elastic.Policy { return &elastic.Stabilize{} },
		"zero limit":     func() elastic.Policy { return &elastic.StepLimit{} },
	} {
		t.Run(name, func(t *testing.T) { elastictest.Run(t, newPolicy) })
	}
}

// office wants more nodes while people work; it goes by the clock alone.
type office struct{}

func (office) Decide(o elastic.Observation) elastic.Decision {
	want, note := o.Min, "nobody works at this hour"
	if h := o.At.UTC().Hour(); h >= 8 && h < 18 {
		want, note = o.Max, "office hours"
	}
	d := elastic.Decision{Want: o.Want}
	d.Add(elastic.Step{Rule: elastic.RuleNote, From: o.Want, To: want, Note: note})
	return d
}

func TestBlind(t *testing.T) {
	elastictest.Run(t, func() elastic.Policy { return office{} }, elastictest.Blind())
}
