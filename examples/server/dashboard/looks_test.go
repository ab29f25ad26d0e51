package dashboard_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const looksConfig = `
cluster: harbour
stack: embedded
tick: 200ms
pods:
- name: web
  workload: {command: [EXE, workload, --bind, 127.0.0.1, light], ports: {http: 8080}, probe: {http: /healthz}}
  limits: {cpu: 0.2, memory: 64MiB}
  max_nodes: 12
  fronts: [{listen: "FRONT1"}]
  elasticity: {enabled: true, min: 2, max: 6, policy: {kind: cooldown, up: 1s, down: 2s, policy: {kind: threshold, lower: 0.3, upper: 0.7}}}
- name: shop
  workload: {command: [EXE, workload, --bind, 127.0.0.1, light], ports: {http: 8080}, probe: {http: /healthz}}
  limits: {cpu: 0.2, memory: 64MiB}
  max_nodes: 8
  nodes: 3
  fronts: [{listen: "FRONT2"}]
- name: broken
  workload: {command: ["false"], ports: {http: 8080}}
  max_nodes: 3
  nodes: 1
`

// axeVersion is fetched from the npm registry, for this test only.
const axeVersion = "4.14.1"

// axe returns the script of axe-core.
func axe(t *testing.T) string {
	t.Helper()
	npm, err := exec.LookPath("npm")
	require.NoError(t, err, "this test fetches axe-core with npm: install the Debian package npm")
	dir := t.TempDir()
	cmd := exec.Command(npm, "pack", "--silent", "axe-core@"+axeVersion)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	cmd = exec.Command("tar", "xzf", "axe-core-"+axeVersion+".tgz", "package/axe.min.js")
	cmd.Dir = dir
	out, err = cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	script, err := os.ReadFile(filepath.Join(dir, "package", "axe.min.js"))
	require.NoError(t, err)
	return string(script)
}

// violation is one thing that axe-core finds wrong.
type violation struct {
	ID, Help string
	Nodes    []struct{ HTML, FailureSummary string }
}

func (b *browser) accessible(where string) {
	b.t.Helper()
	found := eval[[]violation](b, `axe.run(document, {resultTypes: ['violations']}).then(r => r.violations.map(v => ({ID: v.id, Help: v.help, Nodes: v.nodes.map(n => ({HTML: n.html, FailureSummary: n.failureSummary}))})))`)
	for _, v := range found {
		for _, n := range v.Nodes {
			assert.Fail(b.t, v.Help, "%s: %s: %s\n%s", where, v.ID, n.HTML, n.FailureSummary)
		}
	}
}

// Every page, in both themes, wide and narrow: axe-core finds nothing wrong, and
// nothing is wider than the screen. Pictures are kept.
func TestLooks(t *testing.T) {
	t.Parallel()
	s, fronts := start(t, looksConfig, 2)
	script := axe(t)
	stop := load(t, fronts[0], 6)
	defer stop()
	b := open(t, s.url())
	check := func(name string) {
		t.Helper()
		for _, theme := range []string{"light", "dark"} {
			for _, size := range []struct {
				name          string
				width, height int64
			}{{"desktop", 1400, 900}, {"phone", 390, 844}} {
				b.theme(theme)
				b.size(size.width, size.height)
				eval[any](b, `new Promise(done => setTimeout(() => done(1), 150))`) // charts are drawn anew
				where := strings.Join([]string{name, theme, size.name}, "-")
				if size.name == "desktop" {
					b.accessible(where)
				}
				assert.LessOrEqual(t, eval[float64](b, `document.documentElement.scrollWidth`), float64(size.width), "%s is wider than the screen", where)
				b.shot(where)
			}
		}
		b.size(1400, 900)
	}
	require.NoError(t, chromedp.Do(b.ctx, chromedp.Evaluate[chromedp.Void](script+"; 1")))
	b.sees("#token", "")
	check("sign-in")
	b.signIn(operator)
	b.sees(".problems a", "broken")
	b.until(`document.querySelectorAll('.card.pod').length === 3`)
	check("overview")
	b.visit("#/pods/web")
	b.sees("tbody .badge.online", "")
	b.press("button", "Change")
	b.press("button", "Log of "+eval[string](b, `document.querySelector('.table tbody th').textContent`))
	b.until(`document.querySelector('.decisions summary')`)
	eval[any](b, `document.querySelector('.decisions summary').click()`)
	b.sees(".steps .rule", "")
	check("pod")
	b.visit("#/balancer")
	b.until(`document.querySelectorAll('.table tbody tr').length > 4`)
	check("balancer")
	b.visit("#/events")
	b.sees(".event-type", "node.failed")
	check("events")
	b.visit("#/")
	b.press("button", "New pod")
	b.sees("#pod-name", "")
	check("form")
	b.press("dialog button", "Cancel")
	b.press("button", "Settings of host local")
	b.sees("#host-address", "")
	b.put("#host-capacity-cpu", "0")
	b.sees("#host-capacity-cpu-error", "")
	check("host")
}

// The whole page can be used by keyboard: the tab key reaches what a mouse does,
// and dialogs give the focus back.
func TestKeyboard(t *testing.T) {
	t.Parallel()
	s, _ := start(t, idleConfig, 1)
	b := open(t, s.url())
	b.signIn(operator)
	b.sees(".card.pod a", "web")
	keys := func(text string) { require.NoError(t, chromedp.Do(b.ctx, chromedp.KeyEvent(text))) }
	focused := func() string {
		return eval[string](b, `(document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent).trim()`)
	}
	reach := func(name string) {
		t.Helper()
		for range 80 {
			if focused() == name {
				return
			}
			keys("\t")
		}
		t.Fatalf("the tab key never reaches %q", name)
	}
	eval[any](b, `(() => { document.activeElement.blur(); return 1 })()`)
	reach("New pod")
	keys("\r")
	b.sees("dialog h2", "New pod")
	assert.Equal(t, "pod-name", eval[string](b, `document.activeElement.id`))
	visited := map[string]bool{}
	for range 24 { // round the dialog once, and never out of it
		keys("\t")
		assert.True(t, eval[bool](b, `document.activeElement === document.body || document.activeElement.closest('dialog') !== null`), focused())
		visited[focused()] = true
	}
	assert.True(t, visited["Create"] && visited["Cancel"], "%v", visited)
	assert.True(t, eval[bool](b, `(() => { document.querySelector('dialog .primary').focus({focusVisible: true}); const s = getComputedStyle(document.activeElement); return s.outlineStyle === 'solid' && parseFloat(s.outlineWidth) >= 2 })()`), "the focus is seen")
	keys("\x1b")
	b.until(`!document.querySelector('dialog')`)
	assert.Equal(t, "New pod", focused())
	for _, name := range []string{"Add host", "Settings of host local", "Cordon host local", "Drain and remove host local"} {
		reach(name)
	}
	reach("web")
	keys("\r")
	b.sees("h1", "web")
	b.sees("button", "Pause")
	reach("Pause")
	keys("\r")
	b.sees("dialog button", "Cancel")
	assert.Equal(t, "Cancel", focused(), "what is harmless has the focus")
	keys("\r")
	b.until(`!document.querySelector('dialog')`)
	for _, name := range []string{"Settings", "Remove", "1 min", "State", "Log of n1", "Remove node n1"} {
		reach(name)
	}
	reach("Change")
	keys("\r")
	b.sees("#policy-0-kind", "")
	assert.Equal(t, "el-min", eval[string](b, `document.activeElement.id`))
	for range 3 {
		keys("\t")
	}
	assert.Equal(t, "policy-0-kind", eval[string](b, `document.activeElement.id`))
	reach("Lower threshold")
	keys("\u0304") // arrow up
	b.until(`document.activeElement.getAttribute('aria-valuetext') === 'lower 31 %'`)
	reach("Apply")
}
