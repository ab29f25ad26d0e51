package act

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// The attributes of spans.
const (
	KeyCluster    = attribute.Key("elastipod.cluster")
	KeyPod        = attribute.Key("elastipod.pod")
	KeyNode       = attribute.Key("elastipod.node")
	KeyHost       = attribute.Key("elastipod.host")
	KeyFront      = attribute.Key("elastipod.front")
	KeyTick       = attribute.Key("elastipod.tick")
	KeyWantBefore = attribute.Key("elastipod.want.before")
	KeyWantAfter  = attribute.Key("elastipod.want.after")
	KeyReason     = attribute.Key("elastipod.reason")
	KeyImage      = attribute.Key("elastipod.image")
	KeyServers    = attribute.Key("elastipod.servers")
	KeyReady      = attribute.Key("elastipod.servers.ready")
)

// Tracing makes spans. The zero value makes none, and costs nothing: neither time
// nor memory.
type Tracing struct {
	Tracer  trace.Tracer
	Cluster string
}

// On says whether spans are made.
func (t Tracing) On() bool { return t.Tracer != nil }

// Begin starts a span below the one in ctx, or one of its own where there is none.
// A span may be given a start in the past, by a time that has passed since.
func (t Tracing) Begin(ctx context.Context, name string, ago time.Duration, attrs ...attribute.KeyValue) (context.Context, Span) {
	if t.Tracer == nil {
		return ctx, Span{}
	}
	attrs = append([]attribute.KeyValue{KeyCluster.String(t.Cluster)}, attrs...)
	options := []trace.SpanStartOption{trace.WithAttributes(attrs...)}
	if ago > 0 {
		options = append(options, trace.WithTimestamp(time.Now().Add(-ago)))
	}
	ctx, s := t.Tracer.Start(ctx, name, options...)
	return ctx, Span{s}
}

// Part starts a span for a part of what another is about. There is none where that
// other one is not recorded.
func (t Tracing) Part(of Span, name string) Span {
	if !of.Recording() {
		return Span{}
	}
	_, s := t.Tracer.Start(trace.ContextWithSpan(context.Background(), of.s), name)
	return Span{s}
}

// Span is a span that may be none: then its methods do nothing.
type Span struct{ s trace.Span }

// Recording says whether somebody will see what is said about the span. Callers
// check it before they build attributes that nobody would see.
func (s Span) Recording() bool { return s.s != nil && s.s.IsRecording() }

// Set adds attributes.
func (s Span) Set(attrs ...attribute.KeyValue) {
	if s.s != nil {
		s.s.SetAttributes(attrs...)
	}
}

// Fail marks the span as failed.
func (s Span) Fail(text string) {
	if s.s != nil {
		s.s.SetStatus(codes.Error, text)
	}
}

// End ends the span, with the error that it ended with.
func (s Span) End(err error) {
	if s.s == nil {
		return
	}
	if err != nil && s.s.IsRecording() {
		s.s.RecordError(err)
		s.s.SetStatus(codes.Error, err.Error())
	}
	s.s.End()
}

// EndAgo ends the span at a time in the past.
func (s Span) EndAgo(ago time.Duration) {
	if s.s != nil {
		s.s.End(trace.WithTimestamp(time.Now().Add(-ago)))
	}
}

// Cause returns the trace context in ctx as text, which plans carry to actions;
// empty where there is none, or nobody traces.
func (t Tracing) Cause(ctx context.Context) string {
	if t.Tracer == nil {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier["traceparent"]
}

// Below returns a context in which spans are begun below a cause, if that is one.
func Below(ctx context.Context, cause string) context.Context {
	if cause == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": cause})
}
