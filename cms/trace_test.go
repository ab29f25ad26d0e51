package cms_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/pod"
)

// traced is a world whose manager gives its spans to a recorder.
func inTracedWorld(t *testing.T, f func(t *testing.T, w *world, spans *spans)) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.end()
		s := &spans{recorder: tracetest.NewSpanRecorder()}
		s.provider = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(s.recorder))
		w.config.TracerProvider = s.provider
		w.start()
		f(t, w, s)
		w.end()
		for _, open := range s.recorder.Started() {
			assert.False(t, open.EndTime().IsZero(), "%s was not ended", open.Name())
		}
	})
}

type spans struct {
	recorder *tracetest.SpanRecorder
	provider *sdktrace.TracerProvider
}

// caller is a context with a span of somebody who calls the manager.
func (s *spans) caller(t *testing.T) (context.Context, trace.Span) {
	return s.provider.Tracer("test").Start(t.Context(), "caller")
}

// tree draws the spans of a trace, each below its parent, in the order in which
// they began.
func (s *spans) tree(id trace.TraceID) string {
	var b strings.Builder
	var draw func(parent trace.SpanID, depth int)
	draw = func(parent trace.SpanID, depth int) {
		for _, x := range s.recorder.Started() {
			if x.SpanContext().TraceID() == id && x.Parent().SpanID() == parent {
				fmt.Fprintf(&b, "%s%s\n", strings.Repeat("  ", depth), x.Name())
				draw(x.SpanContext().SpanID(), depth+1)
			}
		}
	}
	draw(trace.SpanID{}, 0)
	return b.String()
}

// named returns the ended spans of a name, oldest first.
func (s *spans) named(name string) []sdktrace.ReadOnlySpan {
	return slices.DeleteFunc(s.recorder.Ended(), func(x sdktrace.ReadOnlySpan) bool { return x.Name() != name })
}

func attrs(s sdktrace.ReadOnlySpan) map[string]string {
	out := map[string]string{}
	for _, kv := range s.Attributes() {
		out[strings.TrimPrefix(string(kv.Key), "elastipod.")] = kv.Value.String()
	}
	return out
}

func tickThat(s *spans, changed bool) sdktrace.ReadOnlySpan {
	for _, x := range s.named("tick") {
		a := attrs(x)
		if (a["want.before"] != a["want.after"]) == changed {
			return x
		}
	}
	return nil
}

// A tick that grows the pod, and what it begins, is one trace.
func TestTraceOfATickThatGrows(t *testing.T) {
	inTracedWorld(t, func(t *testing.T, w *world, s *spans) {
		w.pod(1)
		w.elasticity(1, 5)
		w.load(0.95)
		w.wait("it grows", func(p cms.PodStatus) bool { return p.Want == 2 })
		w.converge()
		grown := tickThat(s, true)
		require.NotNil(t, grown)
		assert.Equal(t, `tick
  observe
  decide
  node.start
    runtime.prepare
    runtime.start
    node.probe
    balancer.apply
`, s.tree(grown.SpanContext().TraceID()))
		a := attrs(grown)
		assert.Equal(t, "elastipod", a["cluster"])
		assert.Equal(t, "web", a["pod"])
		assert.Equal(t, []string{"1", "2"}, []string{a["want.before"], a["want.after"]})
		assert.Contains(t, a["reason"], "CPU")
		assert.NotEmpty(t, a["tick"])
		for _, started := range s.named("node.start") {
			a = attrs(started)
			assert.Equal(t, "a", a["host"])
			assert.NotEmpty(t, a["node"])
			assert.GreaterOrEqual(t, started.EndTime().Sub(started.StartTime()), 200*time.Millisecond)
		}
		quiet := tickThat(s, false)
		require.NotNil(t, quiet)
		assert.NotContains(t, attrs(quiet), "reason", "the reason of a number that stays is told by nobody")
		assert.Equal(t, "tick\n  observe\n  decide\n", s.tree(quiet.SpanContext().TraceID()))
	})
}

// A tick that shrinks the pod goes on until its nodes are gone.
func TestTraceOfATickThatShrinks(t *testing.T) {
	inTracedWorld(t, func(t *testing.T, w *world, s *spans) {
		w.pod(2)
		w.elasticity(1, 5)
		w.load(0.01)
		w.wait("it shrinks", func(p cms.PodStatus) bool { return p.Want == 1 })
		w.converge()
		shrunk := tickThat(s, true)
		require.NotNil(t, shrunk)
		assert.Equal(t, `tick
  observe
  decide
  balancer.apply
  balancer.apply
  node.remove
    node.drain
    runtime.stop
`, s.tree(shrunk.SpanContext().TraceID()))
		a := attrs(s.named("node.remove")[0])
		assert.Equal(t, []string{"web", "a", "scaled in"}, []string{a["pod"], a["host"], a["reason"]})
		assert.Equal(t, a["node"], attrs(s.named("runtime.stop")[0])["node"])
	})
}

// A node drains in its trace for as long as it has requests.
func TestTraceOfADrain(t *testing.T) {
	inTracedWorld(t, func(t *testing.T, w *world, s *spans) {
		w.pod(1)
		w.balancer.SetInFlight("web", "n1", 1)
		_, err := w.RemoveNode(t.Context(), "web", "n1")
		require.NoError(t, err)
		time.Sleep(5 * time.Second)
		assert.Empty(t, s.named("node.drain"))
		w.balancer.SetInFlight("web", "n1", 0)
		w.converge()
		require.Len(t, s.named("node.drain"), 1)
		drain, stop := s.named("node.drain")[0], s.named("runtime.stop")[0]
		assert.GreaterOrEqual(t, drain.EndTime().Sub(drain.StartTime()), 5*time.Second)
		assert.False(t, stop.StartTime().Before(drain.EndTime()))
	})
}

// What a command begins is below the span of its caller.
func TestTraceOfACommandGoesOnInTheLoop(t *testing.T) {
	inTracedWorld(t, func(t *testing.T, w *world, s *spans) {
		ctx, caller := s.caller(t)
		_, err := w.CreatePod(ctx, spec())
		require.NoError(t, err)
		caller.End()
		w.converge()
		assert.Equal(t, "caller\n  balancer.set_front\n  balancer.apply\n", s.tree(caller.SpanContext().TraceID()))

		_, err = w.RegisterNode(t.Context(), "web", "")
		require.NoError(t, err)
		ctx, caller = s.caller(t)
		n, err := w.Launch(ctx, "web")
		require.NoError(t, err)
		caller.End()
		w.converge()
		assert.Equal(t, `caller
  node.start
    runtime.prepare
    runtime.start
    node.probe
    balancer.apply
`, s.tree(caller.SpanContext().TraceID()))

		ctx, caller = s.caller(t)
		_, err = w.SetElasticity(ctx, "web", cms.Elasticity{Enabled: true, Min: 2, Max: 5, PolicyJSON: []byte(cms.DefaultPolicy)})
		require.NoError(t, err)
		caller.End()
		w.converge()
		assert.Equal(t, `caller
  node.start
    runtime.prepare
    runtime.start
    node.probe
    balancer.apply
`, s.tree(caller.SpanContext().TraceID()), "what a command changes is acted on in its trace")

		_, err = w.SetElasticity(t.Context(), "web", cms.Elasticity{Max: 5})
		require.NoError(t, err)
		ctx, caller = s.caller(t)
		_, err = w.RemoveNode(ctx, "web", n.Name)
		require.NoError(t, err)
		caller.End()
		w.converge()
		assert.Equal(t, `caller
  balancer.apply
  balancer.apply
  node.remove
    node.drain
    runtime.stop
`, s.tree(caller.SpanContext().TraceID()))
	})
}

// What fails says so in its span.
func TestTraceOfWhatFails(t *testing.T) {
	inTracedWorld(t, func(t *testing.T, w *world, s *spans) {
		w.pod(0)
		w.hosts["a"].FailStarts(1, pod.ErrImage)
		ctx, caller := s.caller(t)
		_, err := w.RegisterNode(ctx, "web", "")
		require.NoError(t, err)
		_, err = w.Launch(ctx, "web")
		require.NoError(t, err)
		caller.End()
		w.converge()
		for _, name := range []string{"runtime.start", "node.start"} {
			failed := s.named(name)[0]
			assert.Equal(t, caller.SpanContext().TraceID(), failed.SpanContext().TraceID())
			assert.Equal(t, codes.Error, failed.Status().Code, name)
			assert.Contains(t, failed.Status().Description, pod.ErrImage.Error(), name)
			require.Len(t, failed.Events(), 1, name)
			assert.Contains(t, failed.Events()[0].Attributes, attribute.String("exception.message", failed.Status().Description))
		}

		w.hosts["a"].FailObserve(errors.New("no route"))
		time.Sleep(3 * time.Second)
		ticks := s.named("tick")
		last := ticks[len(ticks)-1]
		assert.Equal(t, codes.Error, last.Status().Code)
		assert.Contains(t, last.Status().Description, "does not answer")
		w.hosts["a"].FailObserve(nil)
	})
}

// What is cleared away is so below what began it.
func TestTraceOfWhatIsClearedAway(t *testing.T) {
	inTracedWorld(t, func(t *testing.T, w *world, s *spans) {
		w.pod(0)
		w.hosts["a"].FailStarts(1, errors.New("no space left on device"))
		_, err := w.RegisterNode(t.Context(), "web", "")
		require.NoError(t, err)
		ctx, caller := s.caller(t)
		_, err = w.Launch(ctx, "web")
		require.NoError(t, err)
		caller.End()
		w.converge()
		assert.Equal(t, `caller
  node.start
    runtime.prepare
    runtime.start
    runtime.stop
`, s.tree(caller.SpanContext().TraceID()))

		_, err = w.CreatePod(t.Context(), other("127.0.0.1:5101"))
		require.NoError(t, err)
		time.Sleep(time.Second)
		ctx, caller = s.caller(t)
		_, err = w.DeletePod(ctx, "other")
		require.NoError(t, err)
		caller.End()
		_, err = w.WaitPod(t.Context(), "other", func(cms.PodStatus) bool { return false })
		require.ErrorIs(t, err, cms.ErrNotFound)
		assert.Equal(t, "caller\n  balancer.remove_front\n", s.tree(caller.SpanContext().TraceID()))
	})
}

// The start that a manager leaves to the next one has a span of each.
func TestTraceOfAStartThatIsResumed(t *testing.T) {
	inTracedWorld(t, func(t *testing.T, w *world, s *spans) {
		w.pod(0)
		w.hosts["a"].SetStartDelay(5 * time.Second)
		w.launch()
		time.Sleep(time.Second)
		w.restart()
		w.converge()
		starts := s.named("node.start")
		require.Len(t, starts, 2)
		a := attrs(starts[1])
		assert.Equal(t, []string{"n1", "a"}, []string{a["node"], a["host"]})
		assert.Equal(t, `node.start
  runtime.prepare
  runtime.start
  node.probe
  balancer.apply
`, s.tree(starts[1].SpanContext().TraceID()))
	})
}

// exceptTicks samples every trace but those that a tick begins.
type exceptTicks struct{ sdktrace.Sampler }

func (s exceptTicks) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	if p.Name == "tick" {
		return sdktrace.NeverSample().ShouldSample(p)
	}
	return s.Sampler.ShouldSample(p)
}

// What a tick begins that is not sampled is not sampled either.
func TestTraceOfATickThatIsNotSampled(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.end()
		s := &spans{recorder: tracetest.NewSpanRecorder()}
		w.config.TracerProvider = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(s.recorder), sdktrace.WithSampler(sdktrace.ParentBased(exceptTicks{sdktrace.AlwaysSample()})))
		w.start()
		w.pod(1)
		require.Len(t, s.named("node.start"), 1)
		w.elasticity(1, 3)
		w.load(0.95)
		w.wait("it grows", func(p cms.PodStatus) bool { return p.Want == 2 })
		w.converge()
		assert.Len(t, s.named("node.start"), 1)
		assert.Len(t, s.named("runtime.start"), 1)
	})
}

// Of a trace that is not sampled nothing is recorded, however it goes on.
func TestTraceThatIsNotSampledStaysSo(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.end()
		recorder := tracetest.NewSpanRecorder()
		provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder), sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.NeverSample())))
		w.config.TracerProvider = provider
		w.start()
		ctx, span := provider.Tracer("test").Start(t.Context(), "caller")
		_, err := w.CreatePod(ctx, spec())
		require.NoError(t, err)
		span.End()
		w.launch()
		w.elasticity(2, 4)
		w.converge()
		assert.Empty(t, recorder.Ended())
	})
}
