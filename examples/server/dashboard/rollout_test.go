package dashboard_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/wire"
)

const rolloutConfig = `
cluster: harbour
stack: embedded
tick: 200ms
pods:
- name: web
  workload: {command: [EXE, workload, --bind, 127.0.0.1, light], ports: {http: 8080}, probe: {http: /healthz}}
  limits: {cpu: 0.2, memory: 64MiB}
  max_nodes: 6
  nodes: 3
  drain: 1s
  grace: 1s
  fronts: [{listen: "FRONT1"}]
`

// A rollout is followed, halted, let go on and undone from the page, and its
// strategy set.
func TestRollout(t *testing.T) {
	t.Parallel()
	s, _ := start(t, rolloutConfig, 1)
	b := open(t, s.url())
	b.signIn(operator)
	b.visit("#/pods/web")
	const panel = `section[aria-label="Rollout"] `
	b.text(panel+".sub", "It never ran anything else.")
	b.text(panel+".sub", "Strategy: rolling; at most 1 more and 0 fewer nodes than wanted; back after 3 new nodes that failed.")
	assert.False(t, b.has(panel+"button", "Undo"))
	s.pod("web", func(p wire.Pod) bool { return p.Status.Nodes.Online == 3 && p.Status.Converged })

	// The strategy, with what is wrong told by the API.
	b.press(panel+"button", "Strategy")
	b.put("#update-update-strategy", "canary")
	b.put("#update-update-steps-0-weight", "120")
	b.put("#update-update-steps-0-pause", "1h")
	b.press("dialog button", "Apply")
	b.text("#update-update-steps-0-weight-error", "1 to 99")
	assert.Equal(t, 1, b.expect("422"), "the browser tells of the refused request")
	b.put("#update-update-steps-0-weight", "20")
	b.put("#update-update-steps-1-weight", "60")
	b.put("#update-update-steps-1-pause", "30s")
	b.press("dialog button", "Apply")
	p := s.pod("web", func(p wire.Pod) bool { return p.Update.Strategy == "canary" })
	require.Len(t, p.Update.Steps, 2)
	assert.Equal(t, wire.CanaryStep{Weight: 20, Pause: wire.Duration(time.Hour)}, p.Update.Steps[0])
	b.text(panel+".sub", "20 % for 1h, then 60 % for 30s")

	// A canary that waits.
	s.api("PATCH", "/v1/pods/web", `{"workload":{"env":{"VERSION":"2"}}}`, nil)
	b.sees(panel+".badge.starting", "")
	b.text(panel+"p", "From revision 1 to revision 2, canary: step 1 of 2, new nodes get 20 % of the requests.")
	b.text(panel+".meter-text", "1 of 3 new, 1 ready · 2 old")
	b.text(panel+`li[aria-current="step"]`, "20 % for 1h")
	b.text(".name .badge", "rolling out")
	b.press(panel+"summary", "What it ran")
	b.text(panel+"tbody", "env.VERSION: the default → 2")
	rolloutLooks(b)
	b.press(panel+"button", "Pause rollout")
	s.pod("web", func(p wire.Pod) bool { return p.Status.Rollout.State == "paused" })
	b.sees(panel+".badge.paused", "")
	b.press(panel+"button", "Resume rollout")
	s.pod("web", func(p wire.Pod) bool { return p.Status.Rollout.State == "progressing" })
	b.sees(panel+"button", "Pause rollout")

	// Back, and again what did not get through.
	b.press(panel+"button", "Undo")
	b.press("dialog button", "Cancel")
	b.press(panel+"button", "Undo")
	b.press("dialog button", "Run it again")
	s.pod("web", func(p wire.Pod) bool { return p.Status.Rollout.State == "rolled-back" && p.Status.Converged })
	b.sees(panel+".badge.failed", "")
	b.sees(panel+"button", "Try again")
	s.api("PATCH", "/v1/pods/web", `{"update":{"strategy":"rolling"}}`, nil)
	b.press(panel+"button", "Try again")
	b.press("dialog button", "Run it again")
	s.pod("web", func(p wire.Pod) bool {
		return p.Status.Rollout.State == "done" && p.Status.Converged && p.Workload.Env["VERSION"] == "2"
	})
	b.sees(panel+".badge.online", "")
	b.text(panel+".meter-text", "3 of 3 new, 3 ready · 0 old")
	b.text(panel+".sub", "Took ")

	// An earlier revision, from the history.
	first := eval[string](b, `(() => { const x = [...document.querySelectorAll('section[aria-label="Rollout"] tbody button')].find(x => x.checkVisibility()); return x.getAttribute('aria-label') })()`)
	b.press(panel+"button", first)
	b.press("dialog button", "Run it again")
	s.pod("web", func(p wire.Pod) bool {
		return p.Status.Rollout.State == "done" && p.Status.Converged && p.Workload.Env["VERSION"] == ""
	})

	// Who only looks sees it all, and no buttons.
	v := open(t, s.url())
	v.signIn(viewer)
	v.visit("#/pods/web")
	v.sees(panel+".badge.online", "")
	v.press(panel+"summary", "What it ran")
	v.text(panel+"tbody", "(current)")
	assert.False(t, eval[bool](v, `[...document.querySelectorAll('section[aria-label="Rollout"] :is(.actions, tbody) button')].some(x => x.checkVisibility())`))
}

// rolloutLooks keeps pictures of the panel, which is never wider than the screen.
func rolloutLooks(b *browser) {
	b.t.Helper()
	for _, theme := range []string{"light", "dark"} {
		for _, size := range []struct {
			name          string
			width, height int64
		}{{"desktop", 1400, 900}, {"phone", 390, 844}} {
			b.theme(theme)
			b.size(size.width, size.height)
			eval[any](b, `new Promise(done => setTimeout(() => done(1), 150))`)
			assert.LessOrEqual(b.t, eval[float64](b, `document.documentElement.scrollWidth`), float64(size.width), "%s is wider than the screen", size.name)
			b.shot("rollout-" + theme + "-" + size.name)
		}
	}
	b.theme("light")
	b.size(1400, 900)
}
