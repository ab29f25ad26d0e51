package cms

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// tracerName is the instrumentation scope of the spans.
const tracerName = "github.com/elastipod/elastipod/cms"

// The attributes of spans.
const (
	keyCluster    = attribute.Key("elastipod.cluster")
	keyPod        = attribute.Key("elastipod.pod")
	keyNode       = attribute.Key("elastipod.node")
	keyHost       = attribute.Key("elastipod.host")
	keyFront      = attribute.Key("elastipod.front")
	keyTick       = attribute.Key("elastipod.tick")
	keyWantBefore = attribute.Key("elastipod.want.before")
	keyWantAfter  = attribute.Key("elastipod.want.after")
	keyReason     = attribute.Key("elastipod.reason")
	keyResumed    = attribute.Key("elastipod.resumed")
	keyImage      = attribute.Key("elastipod.image")
	keyServers    = attribute.Key("elastipod.servers")
	keyReady      = attribute.Key("elastipod.servers.ready")
)

// tracing makes the spans of a manager. The zero value makes none, and costs
// nothing: neither time nor memory.
type tracing struct {
	tracer  trace.Tracer
	cluster string
}

func newTracing(c Config) tracing {
	if c.TracerProvider == nil {
		return tracing{}
	}
	return tracing{tracer: c.TracerProvider.Tracer(tracerName), cluster: c.Name}
}

func (t tracing) on() bool { return t.tracer != nil }

// about is what a span is about; what is empty is left out.
type about struct{ pod, node, host, front string }

// begin starts a span below the one in ctx, or one of its own where there is
// none.
func (t tracing) begin(ctx context.Context, name string, a about) (context.Context, span) {
	if t.tracer == nil {
		return ctx, span{}
	}
	attrs := make([]attribute.KeyValue, 0, 5)
	attrs = append(attrs, keyCluster.String(t.cluster))
	for _, of := range []struct {
		key  attribute.Key
		text string
	}{{keyPod, a.pod}, {keyNode, a.node}, {keyHost, a.host}, {keyFront, a.front}} {
		if of.text != "" {
			attrs = append(attrs, of.key.String(of.text))
		}
	}
	ctx, s := t.tracer.Start(ctx, name, trace.WithAttributes(attrs...))
	return ctx, span{s}
}

// part starts a span for a part of what another is about. There is none where
// that other one is not recorded.
func (t tracing) part(of span, name string) span {
	if !of.recording() {
		return span{}
	}
	_, s := t.tracer.Start(trace.ContextWithSpan(context.Background(), of.s), name)
	return span{s}
}

// span is a span that may be none: then its methods do nothing.
type span struct{ s trace.Span }

func (s span) on() bool { return s.s != nil }

// recording says whether somebody will see what is said about the span. Who says
// something asks first: it is not made up for nobody.
func (s span) recording() bool { return s.s != nil && s.s.IsRecording() }

// context is what spans are begun below; invalid where there is no span.
func (s span) context() trace.SpanContext {
	if s.s == nil {
		return trace.SpanContext{}
	}
	return s.s.SpanContext()
}

// in returns a context in which spans are begun below this one.
func (s span) in(ctx context.Context) context.Context {
	if s.s == nil {
		return ctx
	}
	return trace.ContextWithSpan(ctx, s.s)
}

// end ends the span, with the error that it ended with.
func (s span) end(err error) {
	if s.s == nil {
		return
	}
	if err != nil && s.s.IsRecording() {
		s.s.RecordError(err)
		s.s.SetStatus(codes.Error, err.Error())
	}
	s.s.End()
}

// below returns a context in which spans are begun below cause, if that is one.
func below(ctx context.Context, cause trace.SpanContext) context.Context {
	if !cause.IsValid() {
		return ctx
	}
	return trace.ContextWithSpanContext(ctx, cause)
}

// begin starts a span that is about the loop's pod, below what the loop is busy
// with.
func (l *loop) begin(ctx context.Context, name string, node, host string) (context.Context, span) {
	if !l.m.trace.on() {
		return ctx, span{}
	}
	return l.m.trace.begin(below(ctx, l.cause), name, about{pod: l.name, node: node, host: host})
}

// describe says what came of a tick.
func (t *Tick) describe(s span, want int) {
	if !s.recording() {
		return
	}
	s.s.SetAttributes(keyTick.Int64(int64(t.Seq)), keyWantBefore.Int(t.Before), keyWantAfter.Int(want))
	if want != t.Before {
		s.s.SetAttributes(keyReason.String(t.Decision.Reason()))
	}
	if t.Err != "" {
		s.s.SetStatus(codes.Error, t.Err)
	}
}

// servingCause is the cause of a change of servers: the departure of a node that
// is idle and still has one, or else what the loop is busy with.
func (l *loop) servingCause() trace.SpanContext {
	if !l.m.trace.on() {
		return l.cause
	}
	for name, run := range l.nodes {
		if run.leave.on() && run.idle && !run.busy && l.serving(name) {
			return run.leave.context()
		}
	}
	return l.cause
}

// endSpans ends the spans of what the next manager goes on with.
func (l *loop) endSpans() {
	for _, run := range l.nodes {
		for _, s := range []span{run.start, run.drain, run.leave} {
			if s.recording() {
				s.s.AddEvent("left to the next manager")
			}
			s.end(nil)
		}
	}
}

// beginLeave starts the spans of a node's end.
func (l *loop) beginLeave(run *nodeRun, name, reason string) {
	if !l.m.trace.on() {
		return
	}
	_, run.leave = l.begin(l.ctx, "node.remove", name, l.rec.node(name).Host)
	if run.leave.recording() {
		run.leave.s.SetAttributes(keyReason.String(reason))
	}
	run.drain = l.m.trace.part(run.leave, "node.drain")
}
