package dashboard_test

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/wire"
)

const idleConfig = `
cluster: harbour
stack: embedded
tick: 200ms
pods:
- name: web
  workload: {command: [EXE, workload, --bind, 127.0.0.1, light], ports: {http: 8080}, probe: {http: /healthz}}
  limits: {cpu: 0.2, memory: 64MiB}
  max_nodes: 6
  nodes: 2
  fronts: [{listen: "FRONT1"}]
`

// pod waits until a pod of the API is as wanted.
func (s *server) pod(name string, ok func(wire.Pod) bool) (p wire.Pod) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		p = wire.Pod{}
		s.api("GET", "/v1/pods/"+name, "", &p)
		return ok(p)
	}, 20*time.Second, 50*time.Millisecond)
	return p
}

// Each control is used once, through the page, and does what it says.
func TestControls(t *testing.T) {
	t.Parallel()
	s, fronts := start(t, idleConfig, 2)
	b := open(t, s.url())
	b.signIn(operator)

	// Create a pod; what is wrong is said while it is typed, and by the API.
	b.sees("#who", "ops")
	b.press("button", "New pod")
	b.write("#pod-name", "Wrong Name")
	b.write("#pod-limits-memory", "300 parsecs")
	b.until(`document.querySelector('#pod-limits-memory-error').textContent.includes('300MiB')`)
	assert.Equal(t, "true", eval[string](b, `document.querySelector('#pod-limits-memory').getAttribute('aria-invalid')`))
	b.shot("create")
	b.write("#pod-limits-memory", "32MiB")
	b.until(`document.querySelector('#pod-limits-memory-error').textContent === ''`)
	exe := eval[string](b, `fetch('/v1/pods/web', {headers: {Authorization: 'Bearer ' + sessionStorage.getItem('elastipod-token')}}).then(r => r.json()).then(p => p.workload.command[0])`)
	eval[any](b, `(() => { const x = document.querySelector('#pod-workload-command'); x.value = %s; x.dispatchEvent(new Event('input')); return 1 })()`,
		strings.Join([]string{exe, "workload", "--bind", "127.0.0.1", "light"}, "\n"))
	b.write("#pod-workload-ports-http", "8080")
	b.write("#pod-workload-probe-http", "/healthz")
	b.write("#pod-fronts-0-listen", fronts[1])
	b.write("#pod-max_nodes", "5")
	code, answer := s.ask("POST", "/v1/pods", `{"name":"Wrong Name","workload":{"command":["x"]}}`)
	require.Equal(t, 422, code, "%s", answer)
	b.press("button", "Create")
	b.until(`document.querySelector('#pod-name-error').textContent !== ''`)
	said := eval[string](b, `document.querySelector('#pod-name-error').textContent`)
	for part := range strings.SplitSeq(said, ": ") {
		assert.Contains(t, strings.ReplaceAll(string(answer), `\"`, `"`), part, "not in the words of the API")
	}
	b.write("#pod-name", "shop")
	b.press("button", "Create")
	b.sees("h1", "shop")
	shop := s.pod("shop", func(wire.Pod) bool { return true })
	assert.Equal(t, wire.Count(5), shop.MaxNodes)
	assert.Equal(t, "32MiB", shop.Limits.Memory.String())
	assert.Equal(t, fronts[1], shop.Fronts[0].Listen)
	assert.Equal(t, 1, b.expect("422"), "the browser tells of the refused request")

	// Register and launch a node, read its log, remove it.
	b.press("button", "Register")
	s.pod("shop", func(p wire.Pod) bool { return p.Status.Nodes.New == 1 })
	b.press("button", "Launch")
	s.pod("shop", func(p wire.Pod) bool { return p.Status.Nodes.Online == 1 })
	b.sees("tbody .badge.online", "")
	b.press("button", "Log of n1")
	b.until(`document.querySelector('.log').textContent.includes('n1 serves as light')`)
	b.press("button", "Close")
	b.press("button", "Remove node n1")
	b.press("dialog button", "Remove node")
	s.pod("shop", func(p wire.Pod) bool { return p.Status.Nodes == wire.NodeCounts{} })
	b.until(`document.querySelectorAll('.table tbody tr').length === 0`)

	// Pause and resume. Without the confirmation nothing happens.
	b.visit("#/pods/web")
	b.sees("h1", "web")
	b.press("button", "Pause")
	b.press("dialog button", "Cancel")
	s.pod("web", func(p wire.Pod) bool { return p.Status.State == "active" })
	b.press("button", "Pause")
	b.press("dialog button", "Pause")
	s.pod("web", func(p wire.Pod) bool { return p.Status.State == "paused" })
	b.sees(".name .badge.paused", "")
	b.press("button", "Resume")
	s.pod("web", func(p wire.Pod) bool { return p.Status.State == "active" })
	b.sees(".name .badge.online", "")

	elasticity(t, s, b)

	// Cordon a host.
	b.visit("#/")
	b.press("button", "Cordon host local")
	b.press("dialog button", "Cordon")
	b.sees("button", "Uncordon host local")
	var host wire.Host
	s.api("GET", "/v1/hosts/local", "", &host)
	assert.True(t, host.Cordoned)
	b.press("button", "Uncordon host local")
	b.sees("button", "Cordon host local")

	// Remove a pod: its name has to be typed.
	b.visit("#/pods/shop")
	b.press("button", "Remove")
	b.sees("dialog button", "Remove")
	assert.True(t, eval[bool](b, `document.querySelector('dialog .danger').disabled`))
	b.write("#confirm-name", "shop")
	b.press("dialog button", "Remove")
	b.sees("h1", "There is no pod shop")
	code, _ = s.ask("GET", "/v1/pods/shop", "")
	assert.Equal(t, 404, code)
	b.take("/v1/pods/shop") // what was asked while it went

	b.press("button", "Sign out")
	b.sees("h1", "Sign in to harbour")
	assert.Equal(t, float64(0), eval[float64](b, `sessionStorage.length`))
	b.take("/v1/pods/shop")
}

// elasticity is switched on and changed: by fields, by keys and by the mouse, on
// the chart.
func elasticity(t *testing.T, s *server, b *browser) {
	b.press("button", "Change")
	b.press("label", "The pod grows and shrinks by itself")
	b.write("#el-max", "4")
	b.sees(".line.drag", "Upper threshold")
	drag := func(name string, by float64) {
		at := eval[[]float64](b, "(() => { const x = "+find+"; x.scrollIntoView({block: 'center'}); const r = x.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2] })()", ".line.drag", name, name)
		require.NoError(t, chromedp.Do(b.ctx, chromedp.DragAndDropXY(at[0], at[1], at[0], at[1]+by, 5)))
	}
	drag("Most nodes", 25)
	b.until(`document.querySelector('#el-max').value === '3'`)
	b.write("#el-max", "4")
	drag("Upper threshold", 15)
	dragged := eval[float64](b, `Number(document.querySelector('#policy-0-upper').value)`)
	assert.Less(t, dragged, float64(70))
	assert.Greater(t, dragged, float64(40))
	eval[any](b, "(() => { "+find+".focus(); return 1 })()", ".line.drag", "Lower threshold", "Lower threshold")
	require.NoError(t, chromedp.Do(b.ctx, chromedp.KeyEvent(kb.ArrowUp)))
	b.until(`document.querySelector('#policy-0-lower').value === '31'`)
	b.until(`document.querySelector('.preview').textContent.includes('inside of the bounds')`)
	s.pod("web", func(p wire.Pod) bool { return !p.Status.Elasticity.Enabled }) // not applied yet
	b.write("#el-min", "3")
	b.until(`document.querySelector('.preview').textContent.startsWith('At once: 2 → 3 nodes.')`)
	b.shot("elasticity")
	b.press("button", "Apply")
	p := s.pod("web", func(p wire.Pod) bool { return p.Status.Nodes.Online == 3 })
	e := p.Status.Elasticity
	assert.True(t, e.Enabled)
	assert.EqualValues(t, 3, e.Min)
	assert.EqualValues(t, 4, e.Max)
	assert.Contains(t, e.Policy.String(), `"lower":0.31`)
	b.until(`document.querySelector('.node-text').textContent === '3 nodes online of 3 to 4, limit 6'`)
	assert.False(t, b.has("button", "Register"), "the API refuses it while the pod is elastic")

	// What the API refuses is said in its words.
	b.press("button", "Change")
	b.write("#el-min", "9")
	b.press("button", "Apply")
	_, answer := s.ask("PATCH", "/v1/pods/web/elasticity", `{"enabled":true,"min":9,"max":4}`)
	b.until(`document.querySelector('.panel ul.error li')`)
	first := eval[string](b, `document.querySelector('.panel ul.error li').textContent`)
	for part := range strings.SplitSeq(strings.ReplaceAll(first, "; ", ": "), ": ") {
		assert.Contains(t, string(answer), part, "not in the words of the API")
	}
	b.press("button", "Cancel")
	assert.Equal(t, 1, b.expect("422"), "the browser tells of the refused request")
}

// Who may only look sees no control, and a wrong token is refused in the API's words.
func TestViewerSeesNoControls(t *testing.T) {
	t.Parallel()
	s, _ := start(t, idleConfig, 1)
	b := open(t, s.url())
	b.write("#token", "not-a-token-at-all")
	b.press("button", "Sign in")
	b.until(`document.querySelector('#token-error').textContent.startsWith('the token is not one of this server')`)
	b.shot("sign-in")
	b.signIn(viewer)
	b.sees("#connection-text", "Live, view only")
	b.sees(".card.pod a", "web")
	for _, name := range []string{"New pod", "Cordon host local"} {
		assert.False(t, b.has("button", name), name)
	}
	b.press(".card.pod a", "web")
	b.sees("tbody .badge.online", "")
	for _, name := range []string{"Pause", "Register", "Launch", "Remove", "Change", "Remove node n1"} {
		assert.False(t, b.has("button", name), name)
	}
	assert.True(t, b.has("button", "Log of n1"))
	// It stays signed in over a reload, in this tab only.
	require.NoError(t, chromedp.Do(b.ctx, chromedp.Reload()))
	b.sees("#connection-text", "Live, view only")
	assert.Equal(t, float64(0), eval[float64](b, `Object.keys(localStorage).length`))
	assert.Equal(t, "", eval[string](b, `document.cookie`))
	b.take("401")
	b.take("403")
}
