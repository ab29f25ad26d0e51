package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/elastic"
)

// TestDemo runs the demo with a short wave: the pod grows and shrinks, no
// request fails, each change has its sentence, and nothing stays behind.
func TestDemo(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "ep")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	f, err := parseFlags([]string{"--demo", "--listen", "127.0.0.1:0", "--data", dir})
	require.NoError(t, err)
	require.NoError(t, demoFlags(&f))
	s, err := load(f, os.Getenv, elastic.NewRegistry())
	require.NoError(t, err)
	require.True(t, s.stopNodes)
	s.tick = 100 * time.Millisecond
	exe, err := os.Executable()
	require.NoError(t, err)
	st := &stack{settings: s, link: exe}
	var fronts []string
	for _, p := range st.demoPods() {
		p.Fronts[0].Listen = freeAddress(t)
		fronts = append(fronts, p.Fronts[0].Listen)
		s.defaultPods = append(s.defaultPods, p)
	}
	out := &safeBuffer{}
	d := demo{
		show:     newScreen(out, true),
		patience: time.Minute,
		wave: wave{
			low: 5, high: 45,
			before: 500 * time.Millisecond, rise: 3 * time.Second, hold: 4 * time.Second, fall: 2 * time.Second, by: 500 * time.Millisecond,
		},
		elasticity: cms.Elasticity{Enabled: true, Min: 1, Max: 4, Mode: cms.ModeAct, Policy: json.RawMessage(
			`{"kind":"cooldown","up":"500ms","down":"500ms","policy":{"kind":"threshold","lower":0.3,"upper":0.7}}`)},
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- d.run(ctx, s, Program{Stdout: out}.withDefaults(), slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelError})))
	}()
	require.Eventually(t, func() bool {
		select {
		case err := <-ended:
			t.Fatalf("the demo ended: %v\n%s", err, out)
		default:
		}
		return strings.Contains(out.String(), "Try:")
	}, 2*time.Minute, 50*time.Millisecond, "%s", out)
	cancel()
	require.NoError(t, <-ended)

	text := out.String()
	assert.Contains(t, text, "medium gets a wave of load: 5, 45, 5 requests a second in 10 s.")
	assert.Regexp(t, `0:0\d  ●◐··  [ 0-9]+ /s  CPU [0-9.]+ over upper 0\.70+: 1 → 2\n`, text)
	assert.Regexp(t, `CPU [0-9.]+ under lower 0\.30+: 2 → 1\n`, text)
	assert.Regexp(t, `\n[2-4]\d\d requests, 0 failed; half within [0-9.]+ m?s, 99 % within [0-9.]+ m?s; nodes 1, [2-4], 1\n`, text)
	assert.Contains(t, text, "curl -i http://"+fronts[1]+"/work?cpu=50ms")
	assert.Contains(t, text, "go run ./examples/cloud --server http://127.0.0.1:")
	assert.Regexp(t, `http://127\.0\.0\.1:\d+ in a browser: the dashboard\n`, text)
	assert.NotContains(t, text, "level=ERROR")
	assert.NotContains(t, text, "\x1b", "colours and moving lines are for terminals")
	for _, front := range fronts {
		_, err := net.DialTimeout("tcp", front, time.Second)
		assert.Error(t, err, "the front %s is still there", front)
	}
}

func TestDemoMovesAwayFromTakenPorts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	taken := l.Addr().String()
	moved := freeOr(taken)
	assert.Regexp(t, `^127\.0\.0\.1:[1-9]\d*$`, moved)
	assert.NotEqual(t, taken, moved)

	s := settings{stack: stackEmbedded, freeFronts: true}
	s.defaultPods = (&stack{settings: s, link: "/bin/true"}).demoPods()[:1]
	s.defaultPods[0].Fronts[0].Listen = taken
	front := func() string {
		return (&stack{settings: s}).config(Program{}).DefaultPods[0].Fronts[0].Listen
	}
	assert.NotEqual(t, taken, front())

	require.NoError(t, l.Close())
	assert.Equal(t, taken, freeOr(taken))
	assert.Equal(t, "nonsense", freeOr("nonsense"), "whoever uses it says what is wrong with it")
}

func TestWave(t *testing.T) {
	w := wave{low: 10, high: 30, before: time.Second, rise: 2 * time.Second, hold: time.Second, fall: 4 * time.Second, by: time.Second}
	assert.Equal(t, 9*time.Second, w.length())
	for at, want := range map[time.Duration]float64{
		0: 10, time.Second: 10, 2 * time.Second: 20, 3 * time.Second: 30, 3500 * time.Millisecond: 30,
		4 * time.Second: 30, 6 * time.Second: 20, 8 * time.Second: 10, 8500 * time.Millisecond: 10,
	} {
		assert.InDelta(t, want, w.rate(at), 1e-9, at.String())
	}
}

func TestScreen(t *testing.T) {
	var out bytes.Buffer
	s := newScreen(&out, true)
	assert.Equal(t, "●●◐··", s.gauge(2, 3, 5))
	assert.Equal(t, "●●◌··", s.gauge(3, 2, 5))
	assert.Equal(t, "◐", s.gauge(0, 1, 1))
	s.terminal, s.color = true, true
	assert.Equal(t, "\x1b[32m●\x1b[0m\x1b[2m·\x1b[0m", s.gauge(1, 1, 2))
	s.below = "changing"
	s.line("fixed")
	assert.Equal(t, "\r\x1b[Kfixed\nchanging", out.String())
	assert.Equal(t, "1:05", clock(65*time.Second))
	assert.Equal(t, "1,234,567", thousands(1234567))
	assert.Equal(t, "123", thousands(123))
	assert.Equal(t, "1.5 ms", short(1500*time.Microsecond))
	assert.Equal(t, "120 ms", short(120*time.Millisecond))
	assert.Equal(t, "2.3 s", short(2300*time.Millisecond))
}

func TestSuggest(t *testing.T) {
	names := []string{"listen", "stack", "max_nodes"}
	assert.Equal(t, "did you mean listen?", suggest("lisetn", names))
	assert.Equal(t, "did you mean max_nodes?", suggest("max-nodes", names))
	assert.Equal(t, "did you mean stack?", suggest("STACK", names))
	assert.Equal(t, "use one of listen, stack, max_nodes", suggest("zzzzzz", names))
}

func TestVersion(t *testing.T) { assert.Regexp(t, regexp.MustCompile(`^(dev|v\d)`), version()) }

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
