package dashboard_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/wire"
)

// The charts of a pod: one cursor in all of them, zoom and back, time ranges, and
// the sentence of a decision where one points at its mark.
func TestCharts(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.api("POST", "/v1/cluster/init", "", nil)
	s.api("PATCH", "/v1/pods/shop/elasticity", `{"enabled":true,"min":1,"max":4}`, nil)
	b := open(t, s.url+"/#/pods/shop")
	b.signIn(operator)
	b.press("button", "1 min")
	b.until(`document.querySelector('.segments [aria-pressed="true"]').textContent === '1 min'`)
	asked := func(since string) func() bool {
		return func() bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			return strings.Contains(strings.Join(b.urls, "\n"), "/v1/pods/shop/metrics?since="+since)
		}
	}
	require.Eventually(t, asked("60s"), 5*time.Second, 20*time.Millisecond)
	b.sees("tbody .badge.online", "")
	b.wait(4 * time.Second) // there is something to zoom into
	s.api("PATCH", "/v1/pods/shop/elasticity", `{"min":3}`, nil)
	p := holds(s, "/v1/pods/shop", func(p wire.Pod) bool { return p.Status.LastChange != nil && p.Status.LastChange.Want == 3 })
	change := p.Status.LastChange
	b.text(".decisions .why", change.Reason)

	const over = ".chart:nth-of-type(2) .u-over"
	hover := func(share float64) {
		t.Helper()
		x, y, w, h := b.box(over)
		b.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, x+w*share, y+h*0.6))
		eval[any](b, `new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))`) // until it is drawn
	}
	times := func() []string {
		return eval[[]string](b, `[...document.querySelectorAll('.u-legend tr:first-child .u-value')].map(x => x.textContent)`)
	}

	// One cursor.
	hover(0.97)
	b.until(`[...document.querySelectorAll('.u-cursor-x')].every(x => !x.classList.contains('u-off') && x.style.transform !== '')`)
	require.Len(t, times(), 4)
	for _, at := range times() {
		assert.Equal(t, times()[0], at, "the legends tell the same time")
	}

	// The mark of the decision.
	found := false
	for step := 0; step < 60 && !found; step++ {
		hover(1 - float64(step)*0.006)
		found = eval[bool](b, `!document.querySelector('.tip').hidden && document.querySelector('.tip').textContent.endsWith(%s)`, fmt.Sprintf("1 → 3: %s", change.Reason))
	}
	assert.True(t, found, "pointing at a decision tells it; there is %q", eval[string](b, `document.querySelector('.tip').textContent`))
	b.shot("chart-tip")

	// Zoom: the time stands still, at what was chosen.
	x, y, w, h := b.box(over)
	b.do(chromedp.DragAndDropXY(x+w*0.93, y+h/2, x+w*0.98, y+h/2, 6))
	b.sees("button", "Back to live")
	b.until(`[...document.querySelectorAll('.u-select')].every(x => x.offsetWidth === 0)`) // nothing stays marked in the other charts
	ends := func() (string, string) {
		hover(0.002)
		first := times()[1]
		hover(0.998)
		return first, times()[1]
	}
	first, last := ends()
	from, err := time.Parse(time.TimeOnly, first)
	require.NoError(t, err)
	to, err := time.Parse(time.TimeOnly, last)
	require.NoError(t, err)
	assert.InDelta(t, 3, to.Sub(from).Seconds(), 1.5, "a twentieth of a minute")
	b.wait(1200 * time.Millisecond)
	again, still := ends()
	assert.Equal(t, first+last, again+still, "new readings do not move it")
	b.shot("chart-zoom")
	b.press("button", "Back to live")
	b.until(`!` + strings.Replace(strings.Replace(strings.Replace(find, "%s", `"button"`, 1), "%s", `"Back to live"`, 1), "%s", `"Back to live"`, 1))
	_, live := ends()
	assert.Greater(t, live, last, "new readings are shown again")

	// Zoom and back by a double click.
	x, y, w, h = b.box(over)
	b.do(chromedp.DragAndDropXY(x+w*0.93, y+h/2, x+w*0.98, y+h/2, 6))
	b.sees("button", "Back to live")
	b.do(chromedp.MouseClickXY(x+w/2, y+h/2, chromedp.ClickCount(2)))
	b.until(`![...document.querySelectorAll('button')].some(x => x.checkVisibility() && x.textContent === 'Back to live')`)
	b.press("button", "15 min")
	require.Eventually(t, asked("900s"), 5*time.Second, 20*time.Millisecond)
}
