package main

import (
	"bytes"
	"context"
	"net"
	"os"
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
	out := &safeBuffer{}
	d := newDemo(out)
	d.patience = time.Minute
	d.wave = wave{
		low: 5, high: 45,
		before: 500 * time.Millisecond, rise: 3 * time.Second, hold: 4 * time.Second, fall: 2 * time.Second, by: 500 * time.Millisecond,
	}
	d.elasticity.Max = 4
	d.elasticity.Policy = &elastic.Cooldown{Up: 500 * time.Millisecond, Down: 500 * time.Millisecond, Policy: elastic.Threshold{Lower: 0.3, Upper: 0.7}}
	p := server(out, out, d)
	fronts := map[string]string{}
	p.Demo = func(ctx context.Context, m *cms.Manager, url string) error {
		pods, err := m.Init(ctx)
		for _, s := range pods {
			fronts[s.Spec.Name] = front(s)
		}
		if err != nil {
			return err
		}
		return d.run(ctx, m, url)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan int, 1)
	go func() { ended <- p.Run(ctx, []string{"--demo", "--listen", "127.0.0.1:0", "--data", dir}) }()
	require.Eventually(t, func() bool {
		select {
		case code := <-ended:
			t.Fatalf("the demo ended with %d:\n%s", code, out)
		default:
		}
		return strings.Contains(out.String(), "Try:")
	}, 2*time.Minute, 50*time.Millisecond, "%s", out)
	cancel()
	require.Zero(t, <-ended, out)

	text := out.String()
	assert.Contains(t, text, "medium gets a wave of load: 5, 45, 5 requests a second in 10 s.")
	assert.Regexp(t, `0:0\d  ●◐··  [ 0-9]+ /s  CPU [0-9.]+ over upper 0\.70+: 1 → 2\n`, text)
	assert.Regexp(t, `CPU [0-9.]+ under lower 0\.30+: 2 → 1\n`, text)
	assert.Regexp(t, `\n[2-4]\d\d requests, 0 failed; half within [0-9.]+ m?s, 99 % within [0-9.]+ m?s; nodes 1, [2-4], 1\n`, text)
	assert.Contains(t, text, "curl -i http://"+fronts["medium"]+"/work?cpu=50ms")
	assert.Contains(t, text, "go run ./examples/cloud --server http://127.0.0.1:")
	assert.Regexp(t, `http://127\.0\.0\.1:\d+ in a browser: the dashboard\n`, text)
	assert.NotContains(t, text, "level=ERROR")
	assert.NotContains(t, text, "\x1b", "colours and moving lines are for terminals")
	require.Len(t, fronts, 3)
	for _, front := range fronts {
		_, err := net.DialTimeout("tcp", front, time.Second)
		assert.Error(t, err, "the front %s is still there", front)
	}
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
