package elastic_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/metrics"
)

func policies() map[string]elastic.Policy {
	threshold := elastic.Threshold{Lower: 0.3, Upper: 0.7}
	return map[string]elastic.Policy{
		"threshold":  threshold,
		"target":     elastic.Target{Metric: elastic.MetricInFlight, Value: 10},
		"cooldown":   &elastic.Cooldown{Down: time.Minute, Policy: threshold},
		"stabilize":  &elastic.Stabilize{Down: 5 * time.Minute, Up: 10 * time.Second, Policy: elastic.Target{Metric: elastic.MetricInFlight, Value: 10}},
		"step-limit": &elastic.StepLimit{Up: 4, Down: 1, Period: 15 * time.Second, Policy: threshold},
		"all of them": &elastic.Clamp{Policy: &elastic.Cooldown{Down: time.Minute, Policy: &elastic.StepLimit{Up: 4, Period: 15 * time.Second,
			Policy: &elastic.Stabilize{Down: 5 * time.Minute, Policy: elastic.Target{Metric: elastic.MetricInFlight, Value: 10}}}}},
	}
}

// wave is the observation of the i-th second of a load that comes and goes.
func wave(i, want int) elastic.Observation {
	phase := float64(i%60) / 60
	return elastic.Observation{
		At: noon.Add(time.Duration(i) * time.Second), Want: want, Online: want, Min: 1, Max: 20,
		CPU: metrics.V(phase), Memory: metrics.V(0.5), InFlight: metrics.V(phase * 200), Waiting: metrics.V(0), Rate: metrics.V(phase * 1000),
	}
}

func TestDecideAllocatesNothing(t *testing.T) {
	for name, p := range policies() {
		i, want := 0, 3
		assert.Zero(t, testing.AllocsPerRun(500, func() {
			want = p.Decide(wave(i, want)).Want
			i++
		}), name)
	}
}

func BenchmarkDecide(b *testing.B) {
	for name, p := range policies() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			i, want := 0, 3
			for b.Loop() {
				want = p.Decide(wave(i, want)).Want
				i++
			}
		})
	}
}

func BenchmarkBuilder(b *testing.B) {
	for _, nodes := range []int{1, 10, 100} {
		b.Run(fmt.Sprint(nodes, " nodes"), func(b *testing.B) {
			b.ReportAllocs()
			builder := elastic.NewBuilder()
			in := elastic.Input{At: noon, CPULimit: 1, MemoryLimit: 1, Fronts: []elastic.FrontInput{{Name: "web"}}}
			for i := range nodes {
				in.Nodes = append(in.Nodes, elastic.NodeInput{Name: fmt.Sprint("web-", i)})
			}
			for b.Loop() {
				in.At = in.At.Add(time.Second)
				for i := range in.Nodes {
					in.Nodes[i].At = in.At
					in.Nodes[i].CPU += 500 * time.Millisecond
				}
				builder.Observe(in)
			}
		})
	}
}

func BenchmarkReason(b *testing.B) {
	d := elastic.Threshold{Lower: 0.3, Upper: 0.7}.Decide(wave(55, 3))
	b.ReportAllocs()
	for b.Loop() {
		_ = d.Reason()
	}
}
