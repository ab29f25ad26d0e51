package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestTableAligns(t *testing.T) {
	var b bytes.Buffer
	tab := newTable(left("POD"), right("NODES"), left("NOTE"))
	tab.row("light", 3, "all is well")
	tab.row("a-longer-name", 12, "")
	require.NoError(t, tab.print(screen{Writer: &b}))
	assert.Equal(t, ""+
		"POD            NODES  NOTE\n"+
		"light              3  all is well\n"+
		"a-longer-name     12  –\n", b.String())
}

func TestTableFitsTheTerminal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.IntRange(40, 200).Draw(t, "width")
		columns := rapid.IntRange(1, 5).Draw(t, "columns")
		tab := newTable(slices.Repeat([]column{left("H")}, columns)...)
		for range rapid.IntRange(0, 5).Draw(t, "rows") {
			row := make([]any, columns)
			for i := range row {
				row[i] = rapid.StringMatching(`[a-zäöü→ ]{0,90}`).Draw(t, "cell")
			}
			tab.row(row...)
		}
		if widths := tab.widths(width); sum(widths) > width {
			t.Fatalf("%d columns of %v are wider than %d", columns, widths, width)
		}
		for _, w := range tab.widths(0) {
			if w > 90 {
				t.Fatalf("a column is %d wide", w)
			}
		}
	})
}

func TestTableLeavesOutColumns(t *testing.T) {
	make := func(problem string) *table {
		tab := newTable(left("POD"), right("CPU").whenWide(), right("AGE").whenWide(), left("PROBLEM").whenSet())
		tab.row("light", "90%", "3s", problem)
		tab.row("heavy", "", "4s", "")
		return tab
	}
	names := func(tab *table, width int) (all []string) {
		tab.leaveOut(width)
		for _, c := range tab.columns {
			all = append(all, c.name)
		}
		for _, row := range tab.rows {
			require.Len(t, row, len(all))
		}
		return all
	}
	assert.Equal(t, []string{"POD", "CPU", "AGE"}, names(make(""), 0), "nobody has a problem")
	assert.Equal(t, []string{"POD", "CPU", "AGE", "PROBLEM"}, names(make("no room"), 0))
	assert.Equal(t, []string{"POD", "CPU", "AGE", "PROBLEM"}, names(make("no room"), 40))
	assert.Equal(t, []string{"POD", "CPU", "PROBLEM"}, names(make("no room"), 20))
	assert.Equal(t, []string{"POD", "PROBLEM"}, names(make("no room"), 10))
}

func TestCut(t *testing.T) {
	assert.Equal(t, "CPU 0.91 → 4", cut("CPU 0.91 → 4", 12))
	assert.Equal(t, "CPU 0.91 →…", cut("CPU 0.91 → 4", 11))
	assert.Equal(t, 5, utf8.RuneCountInString(cut("äöüäöüäöü", 5)))
}

func TestColoursOnlyWhereWanted(t *testing.T) {
	assert.Equal(t, "failed", screen{}.paint(red, "failed"))
	assert.Equal(t, "\x1b[31mfailed\x1b[0m", screen{colours: true}.paint(red, "failed"))
	var b bytes.Buffer
	tab := newTable(left("A"), left("B"))
	tab.row(cell{"x", red}, "y")
	require.NoError(t, tab.print(screen{Writer: &b, colours: true}))
	assert.Contains(t, b.String(), "\x1b[31mx\x1b[0m")
}

func TestWhatOthersWroteDoesNotSteerTheTerminal(t *testing.T) {
	assert.Equal(t, "a [31mb c d", printable("a\x1b [31mb\nc\td\a\u009b"))
	var b bytes.Buffer
	a := &app{out: screen{Writer: &b, terminal: true}}
	require.NoError(t, a.copyText(strings.NewReader("ok\x1b]0;title\a\tä\n")))
	assert.Equal(t, "ok]0;title\tä\n", b.String())
}

func TestNearest(t *testing.T) {
	pods := []string{"light", "medium", "heavy", "web"}
	for given, want := range map[string]string{
		"wbe": "web", "we": "web", "lihgt": "light", "Light": "light", "mediun": "medium", "haevy": "heavy", "xyz": "", "databases": "", "w": "web",
	} {
		assert.Equal(t, want, nearest(given, pods), given)
	}
	assert.Equal(t, "", nearest("web", nil))
}

func TestFormats(t *testing.T) {
	for d, want := range map[time.Duration]string{
		750 * time.Nanosecond: "1µs", 420 * time.Microsecond: "420µs", 1234567 * time.Nanosecond: "1.23ms",
		98765 * time.Microsecond: "98.8ms", 1234 * time.Millisecond: "1.23s", 75 * time.Second: "1m15s",
	} {
		assert.Equal(t, want, took(d))
	}
	for n, want := range map[float64]string{0: "0 B", 999: "999 B", 1024: "1 KiB", 1536: "1.5 KiB", 300 << 20: "300 MiB", 8 << 30: "8 GiB"} {
		assert.Equal(t, want, bytesText(n))
	}
	a := &app{now: func() time.Time { return time.Date(2026, 11, 5, 10, 0, 0, 0, time.UTC) }}
	for d, want := range map[time.Duration]string{-time.Second: "0s", 59 * time.Second: "59s", 90 * time.Second: "1m", 3 * time.Hour: "3h", 72 * time.Hour: "3d"} {
		assert.Equal(t, want, a.age(a.now().Add(-d)))
	}
	assert.Equal(t, "", a.age(time.Time{}))
	x := 0.914
	assert.Equal(t, "91%", percent(&x))
	assert.Equal(t, "", percent(nil))
}
