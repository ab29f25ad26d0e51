package elastic_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/metrics"
)

func ExampleThreshold() {
	policy := elastic.Threshold{Lower: 0.3, Upper: 0.7}
	for _, cpu := range []float64{0.91, 0.55, 0.12} {
		fmt.Println(policy.Decide(elastic.Observation{Want: 3, Online: 3, CPU: metrics.V(cpu)}))
	}
	// Output:
	// CPU 0.91 over upper 0.70: 3 → 4
	// CPU 0.55 between 0.30 and 0.70: stay at 3
	// CPU 0.12 under lower 0.30: 3 → 2
}

func ExampleTarget() {
	policy := elastic.Target{Metric: elastic.MetricInFlight, Value: 10}
	fmt.Println(policy.Decide(elastic.Observation{Want: 2, Online: 2, InFlight: metrics.V(95)}))
	// Output: in flight per node 47.5 against target 10: 2 → 10
}

func ExampleCooldown() {
	policy := &elastic.Cooldown{Down: time.Minute, Policy: elastic.Threshold{Lower: 0.3, Upper: 0.7}}
	start := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	want := 3
	for _, tick := range []struct {
		second int
		cpu    float64
	}{{0, 0.91}, {42, 0.12}, {60, 0.12}} {
		d := policy.Decide(elastic.Observation{
			At:   start.Add(time.Duration(tick.second) * time.Second),
			Want: want, Online: want, CPU: metrics.V(tick.cpu),
		})
		fmt.Println(d)
		want = d.Want
	}
	// Output:
	// CPU 0.91 over upper 0.70: 3 → 4
	// CPU 0.12 under lower 0.30: 4 → 3; scale-in held 42 s of 60 s cooldown: stay at 4
	// CPU 0.12 under lower 0.30: 4 → 3
}

func ExampleStabilize() {
	policy := &elastic.Stabilize{Down: 5 * time.Minute, Policy: elastic.Target{Metric: elastic.MetricRate, Value: 100}}
	d := policy.Decide(elastic.Observation{At: time.Now(), Want: 8, Online: 8, Rate: metrics.V(210)})
	fmt.Println(d)
	// Output: requests/s per node 26.25 against target 100: 8 → 3; wanted 3, kept at 8: the highest wish of the last 300 s
}

func ExampleStepLimit() {
	policy := &elastic.StepLimit{Up: 4, Policy: elastic.Target{Metric: elastic.MetricRate, Value: 100}}
	fmt.Println(policy.Decide(elastic.Observation{Want: 2, Online: 2, Rate: metrics.V(2000)}))
	// Output: requests/s per node 1000 against target 100: 2 → 20; wanted 20, at most 4 added at a time: 6
}

func ExampleDecision_MarshalJSON() {
	d := elastic.Threshold{Lower: 0.3, Upper: 0.7}.Decide(elastic.Observation{Want: 3, Online: 3, CPU: metrics.V(0.91)})
	text, _ := json.MarshalIndent(d, "", "  ")
	fmt.Println(string(text))
	// Output:
	// {
	//   "want": 4,
	//   "reason": "CPU 0.91 over upper 0.70: 3 → 4",
	//   "steps": [
	//     {
	//       "rule": "above-upper",
	//       "from": 3,
	//       "to": 4,
	//       "metric": "CPU",
	//       "value": 0.91,
	//       "bound": 0.7,
	//       "text": "CPU 0.91 over upper 0.70: 3 → 4"
	//     }
	//   ]
	// }
}

func ExampleBuilder() {
	builder := elastic.NewBuilder()
	start := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for second := range 3 {
		at := start.Add(time.Duration(second) * time.Second)
		o := builder.Observe(elastic.Input{
			At: at, Want: 1, Online: 1, CPULimit: 0.5, MemoryLimit: 100 << 20,
			Nodes:  []elastic.NodeInput{{Name: "web-1", At: at, CPU: time.Duration(second) * 400 * time.Millisecond, Memory: 30 << 20}},
			Fronts: []elastic.FrontInput{{Name: "web", Requests: uint64(second) * 120, InFlight: 4}},
		})
		fmt.Println("CPU", o.CPU, "memory", o.Memory, "requests/s", o.Rate, "in flight", o.InFlight)
	}
	// Output:
	// CPU – memory 0.3 requests/s – in flight 4
	// CPU 0.8 memory 0.3 requests/s 120 in flight 4
	// CPU 0.8 memory 0.3 requests/s 120 in flight 4
}

func ExampleRegistry_Parse() {
	policies := elastic.NewRegistry()
	policy, err := policies.Parse(json.RawMessage(`{"kind":"cooldown","down":"60s","policy":{"kind":"threshold","lower":0.3,"upper":0.7}}`))
	fmt.Printf("%T %v\n", policy, err)

	_, err = policies.Parse(json.RawMessage(`{"kind":"cooldown","down":60,"policy":{"kind":"treshold","lower":30}}`))
	var faults elastic.Faults
	errors.As(err, &faults)
	for _, f := range faults {
		fmt.Println(f)
	}
	// Output:
	// *elastic.Cooldown <nil>
	// down: 60 is not a duration; use a duration such as "60s" or "5m"
	// policy.kind: "treshold" is unknown; did you mean "threshold"?
}

// A policy of one's own: so many nodes for each thousand requests a second,
// chosen in configuration as {"kind":"per-thousand","nodes":3}.
type perThousand struct {
	Nodes int `json:"nodes"`
}

func (p perThousand) Decide(o elastic.Observation) elastic.Decision {
	rate, ok := o.Rate.Get()
	if !ok {
		return elastic.Hold(o.Want, elastic.RuleMissing, "requests/s")
	}
	d := elastic.Decision{Want: o.Want}
	d.Add(elastic.Step{Rule: elastic.RuleNote, From: o.Want, To: int(rate/1000) * p.Nodes, Note: "by the thousand"})
	return d
}

func ExampleRegistry_Register() {
	policies := elastic.NewRegistry()
	err := policies.Register(elastic.Kind{
		Name:    "per-thousand",
		Summary: "So many nodes for each thousand requests a second.",
		Schema:  json.RawMessage(`{"properties":{"nodes":{"type":"integer","minimum":1}},"required":["nodes"]}`),
		New: func(raw json.RawMessage, _ *elastic.Registry) (elastic.Policy, error) {
			var p perThousand
			if err := elastic.Decode(raw, &p); err != nil {
				return nil, err
			}
			return p, nil
		},
	})
	if err != nil {
		panic(err)
	}
	policy, err := policies.Parse(json.RawMessage(`{"kind":"clamp","policy":{"kind":"per-thousand","nodes":3}}`))
	if err != nil {
		panic(err)
	}
	fmt.Println(policy.Decide(elastic.Observation{Want: 2, Min: 1, Max: 5, Rate: metrics.V(2500)}))
	// Output: by the thousand: 2 → 6; wanted 6, bounded to max 5
}
