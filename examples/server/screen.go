package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/elastipod/elastipod/metrics"
)

// screen writes lines, and on a terminal one more below them that changes.
type screen struct {
	mu       sync.Mutex
	w        io.Writer
	terminal bool
	color    bool
	below    string // what the changing line shows
}

func newScreen(w io.Writer, color bool) *screen {
	s := &screen{w: w}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		s.terminal, s.color = true, color
	}
	return s
}

// line writes a line above the one that changes.
func (s *screen) line(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	fmt.Fprintln(s.w, text)
	fmt.Fprint(s.w, s.below)
}

// clear takes the changing line away.
func (s *screen) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	s.below = ""
}

func (s *screen) erase() {
	if s.below != "" {
		fmt.Fprint(s.w, "\r\x1b[K")
	}
}

// decision shows a decision's sentence.
func (s *screen) decision(at time.Duration, online, want, most int, rate metrics.Value, sentence string) {
	s.line(fmt.Sprintf("  %s  %s  %s  %s", clock(at), s.gauge(online, want, most), perSecond(rate), sentence))
}

// live changes the line below the others.
func (s *screen) live(at time.Duration, online, want, most int, m metrics.Sample) {
	if !s.terminal {
		return
	}
	text := fmt.Sprintf("  %s  %s  %s  CPU %s", clock(at), s.gauge(online, want, most), perSecond(m.Rate), fraction(m.CPU))
	if p95, ok := m.P95.Get(); ok {
		text += ", 95 % within " + short(time.Duration(p95*float64(time.Second)))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	s.below = text
	fmt.Fprint(s.w, text)
}

// gauge draws a dot for each node: there, coming, going, and room for more.
func (s *screen) gauge(online, want, most int) string {
	stay := min(online, want)
	parts := []struct {
		dot, color string
		n          int
	}{
		{"●", "\x1b[32m", stay},
		{"◐", "\x1b[33m", want - stay},
		{"◌", "\x1b[36m", online - stay},
		{"·", "\x1b[2m", most - max(online, want)},
	}
	var b strings.Builder
	for _, p := range parts {
		if p.n <= 0 {
			continue
		}
		dots := strings.Repeat(p.dot, p.n)
		if s.color {
			dots = p.color + dots + "\x1b[0m"
		}
		b.WriteString(dots)
	}
	return b.String()
}

func clock(d time.Duration) string {
	return fmt.Sprintf("%d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}

func perSecond(v metrics.Value) string {
	x, ok := v.Get()
	if !ok {
		return "    – /s"
	}
	return fmt.Sprintf("%5.0f /s", x)
}

func fraction(v metrics.Value) string {
	x, ok := v.Get()
	if !ok {
		return "–"
	}
	return strconv.FormatFloat(x, 'f', 2, 64)
}

// short writes a time with two or three digits.
func short(d time.Duration) string {
	switch {
	case d >= time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	case d >= 10*time.Millisecond:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	}
	return strconv.FormatFloat(float64(d.Microseconds())/1000, 'f', 1, 64) + " ms"
}

// thousands writes 12345 as 12,345.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
