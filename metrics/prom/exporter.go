package prom

import (
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/elastipod/elastipod/metrics"
)

// Config is what an [Exporter] is made of.
type Config struct {
	// Namespace begins the name of each metric. Default "elastipod". Characters
	// that Prometheus doesn't take become "_".
	Namespace string
	// Source returns what is to be exported. It is called at each scrape, maybe
	// by several goroutines at once, and should answer from memory. Nil: there
	// are no pods and hosts.
	Source func() State
	// Version and Revision are those of the program, for the build_info metric.
	Version, Revision string
}

// Exporter is a [prometheus.Collector]. It starts nothing and may be used by
// several goroutines. Series of a pod that the source doesn't name any more go
// with the next scrape.
type Exporter struct {
	source func() State
	descs  *descriptions
	build  prometheus.Metric

	ticks  *prometheus.HistogramVec
	starts *prometheus.HistogramVec
	scales *prometheus.CounterVec
	fails  *prometheus.CounterVec

	mu   sync.Mutex
	pods map[string]struct{} // that have series in the four above
}

var _ prometheus.Collector = (*Exporter)(nil)

// New returns an Exporter.
func New(c Config) *Exporter {
	ns := namespace(c.Namespace)
	if c.Source == nil {
		c.Source = func() State { return State{} }
	}
	info := prometheus.NewDesc(ns+"_build_info", "The program that is running; always 1.", []string{"version", "revision", "goversion"}, nil)
	return &Exporter{
		pods:   map[string]struct{}{},
		source: c.Source,
		descs:  describe(ns),
		build:  prometheus.MustNewConstMetric(info, prometheus.GaugeValue, 1, utf8(c.Version), utf8(c.Revision), runtime.Version()),
		ticks: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: ns,
			Name:      "tick_duration_seconds",
			Help:      "How long a turn of a pod's loop took, without the actions that it began.",
			Buckets:   []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1},
		}, []string{"pod"}),
		starts: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: ns,
			Name:      "node_start_duration_seconds",
			Help:      "Time from the decision to start a node to its first answer.",
			Buckets:   []float64{.025, .05, .1, .15, .2, .3, .5, .75, 1, 2, 5, 10, 20, 30, 60, 120, 300},
		}, []string{"pod"}),
		scales: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: ns,
			Name:      "pod_scale_events_total",
			Help:      "How often the wanted number of nodes was raised (out) or lowered (in).",
		}, []string{"pod", "direction"}),
		fails: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: ns,
			Name:      "node_failures_total",
			Help:      "Nodes that could not be started, ended on their own, or stopped answering their probe.",
		}, []string{"pod"}),
	}
}

// ObserveTick enters how long a tick of the pod's loop took.
func (e *Exporter) ObserveTick(pod string, took time.Duration) {
	e.ticks.WithLabelValues(e.know(pod)).Observe(took.Seconds())
}

// ObserveStart enters how long a node took from the decision to its first answer.
func (e *Exporter) ObserveStart(pod string, took time.Duration) {
	e.starts.WithLabelValues(e.know(pod)).Observe(took.Seconds())
}

// CountScale enters that the wanted number of nodes changed. Equal numbers
// count nothing.
func (e *Exporter) CountScale(pod string, from, to int) {
	switch {
	case to > from:
		e.scales.WithLabelValues(e.know(pod), "out").Inc()
	case to < from:
		e.scales.WithLabelValues(e.know(pod), "in").Inc()
	}
}

// CountFailure enters that a node could not be started, ended on its own, or
// stopped answering its probe.
func (e *Exporter) CountFailure(pod string) {
	e.fails.WithLabelValues(e.know(pod)).Inc()
}

// Describe sends the descriptions of all metrics.
func (e *Exporter) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range e.descs.all {
		ch <- d
	}
	ch <- e.build.Desc()
	e.ticks.Describe(ch)
	e.starts.Describe(ch)
	e.scales.Describe(ch)
	e.fails.Describe(ch)
}

// Collect reads the source and sends its metrics.
func (e *Exporter) Collect(ch chan<- prometheus.Metric) {
	state := e.source()
	known := make([]string, 0, len(state.Pods))
	c := collector{ch: ch, descs: e.descs}
	for i := range state.Pods {
		c.pod(&state.Pods[i])
		known = append(known, state.Pods[i].Name)
		e.begin(state.Pods[i].Name)
	}
	for i := range state.Hosts {
		c.host(&state.Hosts[i])
	}
	if state.Balancer != nil {
		c.balancer(state.Balancer)
	}
	ch <- e.build
	e.forget(known)
	e.ticks.Collect(ch)
	e.starts.Collect(ch)
	e.scales.Collect(ch)
	e.fails.Collect(ch)
}

// begin lets the counters of a pod begin at 0: of one that appears with its
// first event, Prometheus would not see that it grew.
func (e *Exporter) begin(pod string) {
	e.fails.WithLabelValues(e.know(pod))
	e.scales.WithLabelValues(pod, "out")
	e.scales.WithLabelValues(pod, "in")
}

// know remembers that a pod may have series of its own.
func (e *Exporter) know(pod string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pods[pod] = struct{}{}
	return pod
}

// forget drops the series of pods that are gone.
func (e *Exporter) forget(known []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for pod := range e.pods {
		if slices.Contains(known, pod) {
			continue
		}
		of := prometheus.Labels{"pod": pod}
		e.ticks.DeletePartialMatch(of)
		e.starts.DeletePartialMatch(of)
		e.scales.DeletePartialMatch(of)
		e.fails.DeletePartialMatch(of)
		delete(e.pods, pod)
	}
}

// Handler serves the exporter's metrics, and those of the Go runtime and the
// process, and more, in the formats of Prometheus and OpenMetrics.
func (e *Exporter) Handler(more ...prometheus.Collector) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(more...)
	r.MustRegister(e, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{EnableOpenMetrics: true, MaxRequestsInFlight: 4})
}

// namespace makes a name that Prometheus takes.
func namespace(s string) string {
	if s == "" {
		return "elastipod"
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '_'
	}, s)
	if s[0] >= '0' && s[0] <= '9' {
		s = "_" + s
	}
	return s
}

func utf8(s string) string { return strings.ToValidUTF8(s, "�") }

// collector sends the metrics of one scrape.
type collector struct {
	ch    chan<- prometheus.Metric
	descs *descriptions
}

func (c *collector) gauge(d *prometheus.Desc, v metrics.Value, labels ...string) {
	c.send(d, prometheus.GaugeValue, v, labels)
}

func (c *collector) counter(d *prometheus.Desc, v metrics.Value, labels ...string) {
	c.send(d, prometheus.CounterValue, v, labels)
}

// send leaves out what was not measured: to Prometheus a missing series is
// "not known", and 0 would be a claim.
func (c *collector) send(d *prometheus.Desc, t prometheus.ValueType, v metrics.Value, labels []string) {
	x, ok := v.Get()
	if !ok {
		return
	}
	for i := range labels {
		labels[i] = utf8(labels[i])
	}
	m, err := prometheus.NewConstMetric(d, t, x, labels...)
	if err != nil {
		m = prometheus.NewInvalidMetric(d, err)
	}
	c.ch <- m
}
