package elastic_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/metrics"
)

func TestThreshold(t *testing.T) {
	v := metrics.V
	classic := elastic.Threshold{Lower: 0.3, Upper: 0.7}
	for name, c := range map[string]struct {
		p    elastic.Threshold
		o    elastic.Observation
		want int
		says string
	}{
		"above":               {classic, elastic.Observation{Want: 3, Online: 3, CPU: v(0.91)}, 4, "CPU 0.91 over upper 0.70: 3 → 4"},
		"at the upper":        {classic, elastic.Observation{Want: 3, Online: 3, CPU: v(0.7)}, 3, "CPU 0.70 between 0.30 and 0.70: stay at 3"},
		"at the lower":        {classic, elastic.Observation{Want: 3, Online: 3, CPU: v(0.3)}, 3, "CPU 0.30 between 0.30 and 0.70: stay at 3"},
		"below":               {classic, elastic.Observation{Want: 3, Online: 3, CPU: v(0.1)}, 2, "CPU 0.10 under lower 0.30: 3 → 2"},
		"idle":                {classic, elastic.Observation{Want: 3, Online: 3, CPU: v(0)}, 2, "CPU 0.00 under lower 0.30: 3 → 2"},
		"the last one":        {classic, elastic.Observation{Want: 1, Online: 1, CPU: v(0)}, 1, "CPU 0.00 under lower 0.30: stay at 1 (the last node stays)"},
		"none wanted":         {classic, elastic.Observation{Want: 0, Online: 1, CPU: v(0)}, 0, "CPU 0.00 under lower 0.30: stay at 0 (the last node stays)"},
		"not measured":        {classic, elastic.Observation{Want: 3, Online: 3}, 3, "CPU not measured: stay at 3"},
		"nothing online":      {classic, elastic.Observation{Want: 3, CPU: v(0.9)}, 3, "CPU not measured: stay at 3"},
		"above, one starting": {classic, elastic.Observation{Want: 3, Online: 2, Starting: 1, CPU: v(0.9)}, 3, "CPU 0.90 over upper 0.70: 3 → 4; 1 node is starting: stay at 3"},
		"below, two starting": {classic, elastic.Observation{Want: 5, Online: 3, Starting: 2, CPU: v(0.1)}, 5, "CPU 0.10 under lower 0.30: 5 → 4; 2 nodes are starting: stay at 5"},
		"within, starting":    {classic, elastic.Observation{Want: 3, Online: 2, Starting: 1, CPU: v(0.5)}, 3, "CPU 0.50 between 0.30 and 0.70: stay at 3"},
		"steps up":            {elastic.Threshold{Lower: 0.3, Upper: 0.7, Step: 3}, elastic.Observation{Want: 3, Online: 3, CPU: v(0.9)}, 6, "CPU 0.90 over upper 0.70: 3 → 6"},
		"steps down":          {elastic.Threshold{Lower: 0.3, Upper: 0.7, Step: 3}, elastic.Observation{Want: 9, Online: 9, CPU: v(0.1)}, 6, "CPU 0.10 under lower 0.30: 9 → 6"},
		"steps down to one":   {elastic.Threshold{Lower: 0.3, Upper: 0.7, Step: 3}, elastic.Observation{Want: 3, Online: 3, CPU: v(0.1)}, 1, "CPU 0.10 under lower 0.30: 3 → 1"},
		"would come back": {elastic.Threshold{Lower: 0.5, Upper: 0.6}, elastic.Observation{Want: 2, Online: 2, CPU: v(0.45)}, 2,
			"CPU 0.45 under lower 0.50: 2 → 1; with 1 CPU would be 0.90, over upper 0.60: stay at 2"},
		"would just fit":    {elastic.Threshold{Lower: 0.5, Upper: 0.6}, elastic.Observation{Want: 4, Online: 4, CPU: v(0.45)}, 3, "CPU 0.45 under lower 0.50: 4 → 3"},
		"step too far":      {elastic.Threshold{Lower: 0.3, Upper: 0.7, Step: 3}, elastic.Observation{Want: 4, Online: 4, CPU: v(0.25)}, 4, "CPU 0.25 under lower 0.30: 4 → 1; with 1 CPU would be 1.00, over upper 0.70: stay at 4"},
		"fewer than wanted": {elastic.Threshold{Lower: 0.5, Upper: 0.6}, elastic.Observation{Want: 3, Online: 2, CPU: v(0.45)}, 2, "CPU 0.45 under lower 0.50: 3 → 2"},
		"memory": {elastic.Threshold{Metric: elastic.MetricMemory, Lower: 0.3, Upper: 0.7}, elastic.Observation{Want: 3, Online: 3, CPU: v(0.1), Memory: v(0.8)}, 4,
			"memory 0.80 over upper 0.70: 3 → 4"},
		"not valid": {elastic.Threshold{Lower: 0.7, Upper: 0.3}, elastic.Observation{Want: 3, Online: 3, CPU: v(0.9)}, 3, "the policy's settings are not valid: stay at 3"},
		"no thresholds for it": {elastic.Threshold{Metric: elastic.MetricRate, Lower: 0.3, Upper: 0.7}, elastic.Observation{Want: 3, Online: 3, Rate: v(9)}, 3,
			"requests/s per node not measured: stay at 3"},
	} {
		t.Run(name, func(t *testing.T) {
			d := c.p.Decide(c.o)
			assert.Equal(t, c.want, d.Want)
			assert.Equal(t, c.says, d.String())
		})
	}
}

// Under a load that stays the same the rule comes to rest: it never removes a
// node only to add it again.
func TestThresholdNeverFlaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lower := rapid.Float64Range(0, 0.9).Draw(t, "lower")
		p := elastic.Threshold{Lower: lower, Upper: rapid.Float64Range(lower+0.1, 1).Draw(t, "upper"), Step: rapid.IntRange(1, 5).Draw(t, "step")}
		require.NoError(t, p.Validate())
		load := rapid.Float64Range(0, 20).Draw(t, "load in nodes")
		nodes := rapid.IntRange(1, 40).Draw(t, "nodes")
		removed := false
		for range 200 {
			d := p.Decide(elastic.Observation{Want: nodes, Online: nodes, CPU: metrics.V(min(load/float64(nodes), 1))})
			if removed && d.Want > nodes {
				t.Fatalf("added after a removal: %s", d)
			}
			removed = removed || d.Want < nodes
			nodes = d.Want
		}
		d := p.Decide(elastic.Observation{Want: nodes, Online: nodes, CPU: metrics.V(min(load/float64(nodes), 1))})
		assert.Equal(t, nodes, d.Want, "it rests")
	})
}

func TestThresholdValidate(t *testing.T) {
	require.NoError(t, elastic.Threshold{Lower: 0.6, Upper: 0.7}.Validate(), "0.1 apart, in spite of the last bit")
	err := elastic.Threshold{Metric: "latency", Lower: -1, Upper: 2, Step: 1001}.Validate()
	var faults elastic.Faults
	require.ErrorAs(t, err, &faults)
	assert.Len(t, faults, 4)
	require.Error(t, elastic.Threshold{}.Validate())
}
