package cms

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/balancertest"
	"github.com/elastipod/elastipod/pod"
)

// What a turn of the loop does about spans takes no memory where nobody wants any.
func TestTracingThatIsOffTakesNoMemory(t *testing.T) {
	l := &loop{m: &Manager{}, name: "web"}
	tick := &Tick{Before: 1}
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		ctx, turn := l.begin(t.Context(), "tick", "", "")
		l.m.trace.part(turn, "observe").end(assert.AnError)
		l.m.trace.part(turn, "decide").end(nil)
		tick.describe(turn, 2)
		acting := l.m.trace.part(turn, "act")
		l.cause = acting.context()
		_ = acting.in(below(ctx, l.servingCause()))
		acting.end(nil)
		turn.end(nil)
	}))
}

// BenchmarkTick is a whole turn of the loop of a pod with ten nodes: observe,
// decide, record, act, publish.
func BenchmarkTick(b *testing.B) {
	discard := sdktrace.WithSpanProcessor(sdktrace.NewBatchSpanProcessor(nowhere{}))
	sampled := sdktrace.NewTracerProvider(discard, sdktrace.WithSampler(sdktrace.AlwaysSample()))
	b.Cleanup(func() { _ = sampled.Shutdown(context.Background()) })
	for _, c := range []struct {
		name     string
		provider trace.TracerProvider
	}{
		{"off", nil},
		{"none-sampled", sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))},
		{"all-sampled", sampled},
	} {
		b.Run(c.name, func(b *testing.B) {
			l := steadyLoop(b, c.provider)
			b.ReportAllocs()
			for b.Loop() {
				l.turn(l.ctx, l.tick(l.ctx))
			}
		})
	}
}

type nowhere struct{}

func (nowhere) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error { return nil }
func (nowhere) Shutdown(context.Context) error                             { return nil }

type nothingKept struct{}

func (nothingKept) Load(context.Context) (State, error) { return State{}, nil }
func (nothingKept) Save(context.Context, Change) error  { return nil }
func (nothingKept) Close() error                        { return nil }

// steadyLoop is a loop that nobody runs, of a pod that has what it wants.
func steadyLoop(t testing.TB, p trace.TracerProvider) *loop {
	m, err := New(Config{
		Store: nothingKept{}, Balancer: balancertest.NewFake(), TracerProvider: p,
		OpenRuntime: func(context.Context, pod.Host, pod.Cluster) (pod.Runtime, error) { return nil, pod.ErrUnreachable },
	})
	require.NoError(t, err)
	front := Front{Front: balancer.Front{Listen: "127.0.0.1:5100"}}
	spec := PodSpec{Spec: pod.Spec{
		Name: "web", Limits: pod.Limits{CPU: 0.5, Memory: 100 << 20},
		Workload: pod.Workload{Command: []string{"/web"}, Ports: map[string]int{"http": 8080}},
	}, Fronts: []Front{front}}.WithDefaults()
	rec := PodRecord{Spec: spec, Want: 10, Elasticity: Elasticity{Enabled: true, Min: 1, Max: 10}.For(spec.Spec)}
	now := time.Now()
	seen := &hostView{begun: now, known: true, nodes: map[pod.NodeID]pod.Node{}}
	stats := balancer.FrontStats{Name: "web", Listen: "127.0.0.1:5100"}
	for i := range 10 {
		id := pod.NodeID{Pod: "web", Name: fmt.Sprintf("n%d", i+1)}
		endpoints := map[string]string{"http": fmt.Sprintf("127.0.0.1:%d", 9000+i)}
		rec.Nodes = append(rec.Nodes, NodeRecord{
			Name: id.Name, Host: "a", State: pod.StateOnline, Revision: revisionOf(spec.Spec),
			CreatedAt: now, StartedAt: now, ReadyAt: now, Endpoints: endpoints,
		})
		seen.nodes[id] = pod.Node{ID: id, Phase: pod.PhaseRunning, Endpoints: endpoints, Usage: pod.Usage{At: now, CPU: time.Second, Memory: 50 << 20}}
		stats.Servers = append(stats.Servers, balancer.ServerStats{Name: id.Name, Addr: endpoints["http"]})
	}
	h := &host{name: "a", clock: m.clock}
	h.view.Store(seen)
	m.hosts["a"] = h
	m.balancer.view.Store(&balancerView{begun: now, at: now, stats: balancer.Stats{Fronts: []balancer.FrontStats{stats}}})
	l := newLoop(m, rec, nil)
	l.applied[spec.Fronts[0].Name] = l.servers(spec.Fronts[0])
	l.servedAt = now.Add(time.Hour) // nothing is newer: it is as it was applied
	l.ctx = t.Context()
	l.alarm = time.NewTimer(time.Hour)
	return l
}
