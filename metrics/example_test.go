package metrics_test

import (
	"bytes"
	"fmt"
	"os"
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
	lastFive := series.Since(noon.Add(4 * time.Second))
	cpu := func(s metrics.Sample) metrics.Value { return s.CPU }
	fmt.Println("median", metrics.Quantile(lastFive, 0.5, cpu))
	fmt.Println("mean  ", metrics.Mean(lastFive, cpu))
	fmt.Println("memory", metrics.Mean(lastFive, func(s metrics.Sample) metrics.Value { return s.Memory }))
	// Output:
	// median 0.7
	// mean   0.7
	// memory –
}

func ExampleWriter() {
	w, err := metrics.NewWriter(os.Stdout, metrics.Header{Pod: "web", Tick: time.Second})
	if err != nil {
		panic(err)
	}
	if err := w.Write(metrics.Sample{At: noon, Want: 2, CPU: metrics.V(0.5)}); err != nil {
		panic(err)
	}
	// Output:
	// {"format":"elastipod-samples","version":1,"pod":"web","tick":"1s"}
	// {"at":"2026-11-01T12:00:00Z","want":2,"nodes":{"new":0,"starting":0,"online":0,"standby":0,"draining":0,"failed":0},"cpu":0.5,"memory":null,"in_flight":null,"waiting":null,"rate":null,"errors":null,"p50":null,"p95":null,"p99":null}
}

func ExampleReader() {
	recording := bytes.NewBufferString(`{"format":"elastipod-samples","version":1,"pod":"web","tick":"1s"}
{"at":"2026-11-01T12:00:00Z","want":2,"cpu":0.5}
{"at":"2026-11-01T12:00:01Z","want":3,"cpu":0.91}
{"at":"2026-11-01T12:00:02Z","wa`)
	r, err := metrics.NewReader(recording)
	if err != nil {
		panic(err)
	}
	for sample, err := range r.All() {
		if err != nil {
			panic(err)
		}
		fmt.Println(r.Header().Pod, sample.Want, sample.CPU)
	}
	fmt.Println("truncated:", r.Truncated())
	// Output:
	// web 2 0.5
	// web 3 0.91
	// truncated: true
}
