package elastic_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/metrics"
)

func TestTarget(t *testing.T) {
	v := metrics.V
	cpu := elastic.Target{Metric: elastic.MetricCPU, Value: 0.7}
	flight := elastic.Target{Metric: elastic.MetricInFlight, Value: 10}
	for name, c := range map[string]struct {
		p    elastic.Target
		o    elastic.Observation
		want int
		says string
	}{
		"more":                   {cpu, elastic.Observation{Want: 3, Online: 3, CPU: v(0.95)}, 5, "CPU 0.95 against target 0.70: 3 → 5"},
		"fewer":                  {cpu, elastic.Observation{Want: 6, Online: 6, CPU: v(0.3)}, 3, "CPU 0.30 against target 0.70: 6 → 3"},
		"just so":                {cpu, elastic.Observation{Want: 3, Online: 3, CPU: v(0.7)}, 3, "CPU 0.70 between 0.63 and 0.77: stay at 3 (around the target)"},
		"within the tolerance":   {cpu, elastic.Observation{Want: 10, Online: 10, CPU: v(0.76)}, 10, "CPU 0.76 between 0.63 and 0.77: stay at 10 (around the target)"},
		"without tolerance":      {elastic.Target{Metric: elastic.MetricCPU, Value: 0.7, Tolerance: -1}, elastic.Observation{Want: 10, Online: 10, CPU: v(0.76)}, 11, "CPU 0.76 against target 0.70: 10 → 11"},
		"an exact multiple":      {elastic.Target{Metric: elastic.MetricCPU, Value: 0.1}, elastic.Observation{Want: 3, Online: 3, CPU: v(0.3)}, 9, "CPU 0.30 against target 0.10: 3 → 9"},
		"idle":                   {cpu, elastic.Observation{Want: 3, Online: 3, CPU: v(0)}, 1, "CPU 0.00 against target 0.70: 3 → 1"},
		"the last one":           {cpu, elastic.Observation{Want: 1, Online: 1, CPU: v(0)}, 1, "CPU 0.00 against target 0.70: stay at 1"},
		"none wanted":            {cpu, elastic.Observation{Want: 0, Online: 1, CPU: v(0)}, 0, "CPU 0.00 against target 0.70: stay at 0"},
		"not measured":           {cpu, elastic.Observation{Want: 3, Online: 3}, 3, "CPU not measured: stay at 3"},
		"nothing online":         {cpu, elastic.Observation{Want: 3, CPU: v(0.9)}, 3, "CPU not measured: stay at 3"},
		"full, others starting":  {cpu, elastic.Observation{Want: 5, Online: 3, Starting: 2, CPU: v(1)}, 5, "CPU 1.00 against target 0.70: stay at 5 (counting the nodes that are starting)"},
		"starting don't suffice": {elastic.Target{Metric: elastic.MetricCPU, Value: 0.5}, elastic.Observation{Want: 4, Online: 3, Starting: 1, CPU: v(1)}, 6, "CPU 1.00 against target 0.50: 4 → 6"},
		"enough wanted":          {cpu, elastic.Observation{Want: 8, Online: 4, CPU: v(1)}, 8, "CPU 1.00 against target 0.70: stay at 8 (enough nodes are wanted already)"},
		"idle, one starting":     {cpu, elastic.Observation{Want: 6, Online: 5, Starting: 1, CPU: v(0.1)}, 2, "CPU 0.10 against target 0.70: 6 → 2"},
		"some idle, starting":    {cpu, elastic.Observation{Want: 10, Online: 1, Starting: 9, CPU: v(0.1)}, 10, "CPU 0.10 against target 0.70: stay at 10 (counting the nodes that are starting)"},
		"fewer, but as wanted":   {cpu, elastic.Observation{Want: 1, Online: 4, CPU: v(0.4)}, 1, "CPU 0.40 against target 0.70: stay at 1"},
		"memory":                 {elastic.Target{Metric: elastic.MetricMemory, Value: 0.5}, elastic.Observation{Want: 2, Online: 2, Memory: v(0.9)}, 4, "memory 0.90 against target 0.50: 2 → 4"},
		"in flight, more":        {flight, elastic.Observation{Want: 2, Online: 2, InFlight: v(95)}, 10, "in flight per node 47.5 against target 10: 2 → 10"},
		"in flight, fewer":       {flight, elastic.Observation{Want: 5, Online: 5, InFlight: v(11)}, 2, "in flight per node 2.20 against target 10: 5 → 2"},
		"in flight, starting":    {flight, elastic.Observation{Want: 10, Online: 2, Starting: 8, InFlight: v(95)}, 10, "in flight per node 9.50 between 9.00 and 11: stay at 10 (around the target)"},
		"in flight, to zero":     {flight, elastic.Observation{Want: 2, Online: 2, InFlight: v(0)}, 0, "in flight per node 0.00 against target 10: 2 → 0"},
		"in flight, from zero":   {flight, elastic.Observation{Want: 0, InFlight: v(25)}, 3, "in flight per node 25 against target 10: 0 → 3"},
		"in flight, at zero":     {flight, elastic.Observation{Want: 0, InFlight: v(0)}, 0, "in flight per node 0.00 against target 10: stay at 0 (no node is online, and none is called for)"},
		"in flight, all dead":    {flight, elastic.Observation{Want: 3, InFlight: v(0)}, 3, "in flight per node 0.00 against target 10: stay at 3 (no node is online, and none is called for)"},
		"rate":                   {elastic.Target{Metric: elastic.MetricRate, Value: 50}, elastic.Observation{Want: 2, Online: 2, Rate: v(320)}, 7, "requests/s per node 160 against target 50: 2 → 7"},
		"rate not measured":      {elastic.Target{Metric: elastic.MetricRate, Value: 50}, elastic.Observation{Want: 2, Online: 2, CPU: v(1)}, 2, "requests/s per node not measured: stay at 2"},
		"far out":                {elastic.Target{Metric: elastic.MetricRate, Value: 1e-9}, elastic.Observation{Want: 2, Online: 2, Rate: v(math.MaxFloat64)}, 1_000_000, ""},
		"negative":               {flight, elastic.Observation{Want: 2, Online: 2, InFlight: v(-5)}, 2, "in flight per node not measured: stay at 2"},
		"not valid":              {elastic.Target{Metric: elastic.MetricCPU}, elastic.Observation{Want: 2, Online: 2, CPU: v(1)}, 2, "the policy's settings are not valid: stay at 2"},
		"unknown":                {elastic.Target{Metric: "latency", Value: 1}, elastic.Observation{Want: 2, Online: 2, CPU: v(1)}, 2, "latency not measured: stay at 2"},
	} {
		t.Run(name, func(t *testing.T) {
			d := c.p.Decide(c.o)
			assert.Equal(t, c.want, d.Want)
			if c.says != "" {
				assert.Equal(t, c.says, d.String())
			}
		})
	}
}

// A load that a pod's nodes can carry comes to rest at the target, from any
// number of nodes, and stays there.
func TestTargetConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := elastic.Target{Metric: elastic.MetricCPU, Value: rapid.Float64Range(0.2, 0.9).Draw(t, "value")}
		load := rapid.Float64Range(0, 20).Draw(t, "load in nodes")
		nodes := rapid.IntRange(1, 40).Draw(t, "nodes")
		cpu := func() metrics.Value { return metrics.V(min(load/float64(nodes), 1)) }
		for range 50 {
			nodes = p.Decide(elastic.Observation{Want: nodes, Online: nodes, CPU: cpu()}).Want
		}
		d := p.Decide(elastic.Observation{Want: nodes, Online: nodes, CPU: cpu()})
		assert.Equal(t, nodes, d.Want, "it rests")
		assert.LessOrEqual(t, cpu().Or(1), p.Value*1.1+1e-6)
	})
}

func TestTargetValidate(t *testing.T) {
	for _, p := range []elastic.Target{
		{}, {Metric: "x", Value: 1}, {Metric: elastic.MetricCPU, Value: 1.5}, {Metric: elastic.MetricRate}, {Metric: elastic.MetricRate, Value: math.NaN()},
		{Metric: elastic.MetricRate, Value: math.Inf(1)}, {Metric: elastic.MetricCPU, Value: 0.5, Tolerance: 1}, {Metric: elastic.MetricCPU, Value: 0.5, Tolerance: math.NaN()},
	} {
		require.Error(t, p.Validate(), "%+v", p)
	}
	require.NoError(t, elastic.Target{Metric: elastic.MetricRate, Value: 0.5, Tolerance: -1}.Validate())
}
