package metrics_test

import (
	"fmt"
	"time"

	"github.com/elastipod/elastipod/metrics"
)

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func ExampleSeries() {
	series := metrics.NewSeries(3600) // an hour of seconds
	for i := range 10 {
		series.Add(metrics.Sample{
			At:  noon.Add(time.Duration(i) * time.Second),
			CPU: metrics.V(float64(i) / 10),
		})
	}
	for _, sample := range series.Since(noon.Add(7 * time.Second)) {
		fmt.Println("CPU", sample.CPU, "memory", sample.Memory)
	}
	// Output:
	// CPU 0.8 memory –
	// CPU 0.9 memory –
}
