package serve

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/net/http/httpguts"
	"golang.org/x/time/rate"
)

const (
	defaultSample = 0.1
	tracesPath    = "/v1/traces"
	// exportTimeout bounds one delivery of spans, traceGrace the last one: it
	// goes on beside the end of the balancer.
	exportTimeout = 10 * time.Second
	traceGrace    = 2 * time.Second
	// complainEvery is how often the log tells of spans that nobody takes.
	complainEvery = 5 * time.Minute
)

// tracingConfig says where traces go. There are none unless endpoint is set, or
// enabled is, and then the variables OTEL_EXPORTER_OTLP_* of OpenTelemetry say
// what is not said here.
type tracingConfig struct {
	Enabled bool `json:"enabled,omitempty"`
	// Endpoint is the URL of an OTLP receiver over HTTP; without a path, /v1/traces
	// is asked.
	Endpoint string `json:"endpoint,omitempty"`
	// Sample is the share of traces that are kept, from 0 to 1. A trace that a
	// caller began is kept when the caller keeps it.
	Sample *float64 `json:"sample,omitempty"`
	// HeadersFile holds lines of "Name: value" that go with each delivery; mode 0600.
	HeadersFile string `json:"headers_file,omitempty"`
}

type tracingSettings struct {
	on       bool
	endpoint string // complete; empty: the variables', or the default of OTLP
	sample   float64
	headers  map[string]string
}

func (r *resolver) tracing() tracingSettings {
	c := r.cfg.Tracing
	s := tracingSettings{on: c.Enabled || c.Endpoint != "", sample: defaultSample}
	if c.Sample != nil {
		if s.sample = *c.Sample; !(s.sample >= 0 && s.sample <= 1) {
			r.faults.Add("tracing.sample", "use 0 to 1, such as 0.1 for one trace in ten", "%v is out of range", s.sample)
		}
	}
	if c.Endpoint != "" {
		u, err := url.Parse(c.Endpoint)
		switch {
		case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
			r.faults.Add("tracing.endpoint", "use a URL such as http://127.0.0.1:4318", "%.200q is not the URL of an OTLP receiver over HTTP", c.Endpoint)
		case u.User != nil:
			r.faults.Add("tracing.endpoint", "put an Authorization header into headers_file", "holds a password")
		default:
			if u.Path == "" || u.Path == "/" {
				u.Path = tracesPath
			}
			s.endpoint = u.String()
		}
	}
	if c.HeadersFile != "" {
		s.headers = r.traceHeaders(r.path("tracing.headers_file", c.HeadersFile))
	}
	return s
}

// traceHeaders never repeats a value.
func (r *resolver) traceHeaders(file string) map[string]string {
	data, problem, allowed := r.readSecretFile(file)
	if problem != "" {
		r.faults.Add("tracing.headers_file", allowed, "%s", problem)
		return nil
	}
	out := map[string]string{}
	for n, line := range strings.Split(string(data), "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		if !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			r.faults.Add("tracing.headers_file", `write lines of "Name: value"`, "%s:%d is not a header", file, n+1)
			continue
		}
		out[http.CanonicalHeaderKey(name)] = value
	}
	return out
}

// tracing delivers spans; nil where there are none.
type tracing struct{ provider *sdktrace.TracerProvider }

// newTracing begins to deliver. A receiver that is slow or away costs nothing
// but its spans.
func newTracing(s tracingSettings, cluster string, log *slog.Logger) (*tracing, error) {
	if !s.on {
		return nil, nil
	}
	options := []otlptracehttp.Option{
		otlptracehttp.WithTimeout(exportTimeout),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: true, InitialInterval: time.Second, MaxInterval: 5 * time.Second, MaxElapsedTime: exportTimeout}),
	}
	if s.endpoint != "" {
		options = append(options, otlptracehttp.WithEndpointURL(s.endpoint))
	}
	if len(s.headers) > 0 {
		options = append(options, otlptracehttp.WithHeaders(s.headers))
	}
	exporter := otlptrace.NewUnstarted(otlptracehttp.NewClient(options...))
	about, err := resource.New(context.Background(),
		resource.WithTelemetrySDK(),
		resource.WithAttributes(semconv.ServiceName("elastipod"), semconv.ServiceVersion(version()), attribute.String("elastipod.cluster", cluster)),
		resource.WithFromEnv(), // goes before what is above
	)
	if err != nil {
		return nil, fmt.Errorf("tracing: %w; see the variables OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME", err)
	}
	if err := exporter.Start(context.Background()); err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	where := s.endpoint
	if where == "" {
		where = "OTEL_EXPORTER_OTLP_ENDPOINT, or its default"
	}
	log.Info("traces are kept", "sample", s.sample, "endpoint", where)
	return &tracing{sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(&delivery{SpanExporter: exporter, log: log, complain: rate.Sometimes{First: 1, Interval: complainEvery}}, sdktrace.WithExportTimeout(exportTimeout+time.Second)),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(s.sample))),
		sdktrace.WithResource(about),
	)}, nil
}

// tracerProvider is nil where there are no traces.
func (t *tracing) tracerProvider() trace.TracerProvider {
	if t == nil {
		return nil
	}
	return t.provider
}

// close delivers what is left, for a moment.
func (t *tracing) close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), traceGrace)
	defer cancel()
	_ = t.provider.Shutdown(ctx) // what could not be delivered was told
}

// delivery is an exporter whose failures the log tells of now and then, and
// nobody else.
type delivery struct {
	sdktrace.SpanExporter
	log      *slog.Logger
	complain rate.Sometimes

	mu   sync.Mutex
	lost int // spans since the last delivery
}

func (d *delivery) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := d.SpanExporter.ExportSpans(ctx, spans)
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case err != nil:
		d.lost += len(spans)
		d.complain.Do(func() { d.log.Warn("traces cannot be delivered", "spans_lost", d.lost, "error", err) })
	case d.lost > 0:
		d.log.Info("traces are delivered again", "spans_lost", d.lost)
		d.lost, d.complain = 0, rate.Sometimes{First: 1, Interval: complainEvery}
	}
	return nil
}
