package dashboard_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/elastipod/elastipod/cms/wire"
)

// From an empty cluster: the default pods are created, hosts are added, changed,
// cordoned, drained and removed, all of it on the page.
func TestHosts(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	b := open(t, s.url)
	b.signIn(operator)
	b.sees("h2", "No pods yet")
	b.shot("empty")
	b.press("button", "Create the default pods")
	b.sees(".card.pod a", "shop")
	holds(s, "/v1/pods/shop", func(p wire.Pod) bool { return p.MaxNodes == 8 })

	// Add: refused while it is typed, refused by the server, taken.
	b.press("button", "Add host")
	b.put("#host-name", "nowhere")
	b.put("#host-runtime", "process")
	b.put("#host-capacity-memory", "many")
	b.text("#host-capacity-memory-error", "MiB")
	b.put("#host-capacity-memory", "4GiB")
	b.until(`document.querySelector('#host-capacity-memory-error').textContent === ''`)
	b.press("dialog button", "Add")
	b.text("dialog .error li", "<b>nobody there</b>")
	b.shot("add-host")
	b.put("#host-name", "spare")
	b.press("dialog button", "Add")
	b.sees(".card.host h3", "spare")
	spare := holds(s, "/v1/hosts/spare", func(h wire.Host) bool { return h.Status.Reachable })
	assert.Equal(t, "4GiB", spare.Capacity.Memory.String())
	assert.Equal(t, 1, b.expect("status of 4"), "the browser tells of the refused request")

	// Change: what would happen is said first.
	b.press("button", "Settings of host spare")
	b.text("dialog .preview", "Nothing differs")
	b.put("#host-capacity-cpu", "2.5")
	b.text("dialog .preview", "capacity.cpu: the default → 2.5")
	b.text("dialog .preview", "The host is removed and added again.")
	b.press("dialog button", "Apply")
	b.press("dialog button", "Remove and add")
	holds(s, "/v1/hosts/spare", func(h wire.Host) bool { return h.Capacity.CPU == 2.5 && h.Status.Reachable })
	b.until(`!document.querySelector('dialog')`)

	// Cordon, so that nodes go to the other host.
	b.press("button", "Cordon host local")
	b.press("dialog button", "Cordon")
	holds(s, "/v1/hosts/local", func(h wire.Host) bool { return h.Cordoned })
	b.sees(".card.host .badge.paused", "")
	s.api("PATCH", "/v1/pods/shop/elasticity", `{"enabled":true,"min":2,"max":4}`, nil)
	holds(s, "/v1/hosts/spare", func(h wire.Host) bool { return h.Status.Nodes == 2 })
	b.press("button", "Uncordon host local")
	holds(s, "/v1/hosts/local", func(h wire.Host) bool { return !h.Cordoned })

	// Drain and remove: its name is typed, its nodes move.
	b.press("button", "Drain and remove host spare")
	assert.True(t, eval[bool](b, `document.querySelector('dialog .danger').disabled`))
	b.write("#confirm-name", "spare")
	b.shot("drain-host")
	b.press("dialog button", "Drain and remove")
	holds(s, "/v1/hosts/local", func(h wire.Host) bool { return h.Status.Nodes == 2 })
	b.until(`[...document.querySelectorAll('.card.host h3')].map(x => x.textContent).join() === 'local'`)
	assert.Equal(t, 404, s.api("GET", "/v1/hosts/spare", "", nil))
	b.text(".node-text", "2 nodes online of 2 to 4, limit 8")

	// What the server does not allow is said in its words.
	b.press("button", "Drain and remove host local")
	b.write("#confirm-name", "local")
	b.press("dialog button", "Drain and remove")
	b.text(".toast.error", "host local is in the configuration file")
	assert.Equal(t, 1, b.expect("409"), "the browser tells of the refused request")
}

// A pod's settings are changed in a form that is checked while one types, says
// what would happen, and sends what differs.
func TestSettings(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.api("POST", "/v1/cluster/init", "", nil)
	s.api("PATCH", "/v1/pods/shop/elasticity", `{"enabled":true,"min":1,"max":4}`, nil)
	b := open(t, s.url+"/#/pods/shop")
	b.signIn(operator)
	b.sees("tbody .badge.online", "")
	b.press("button", "Settings")
	b.sees("#pod-drain", "")
	assert.True(t, eval[bool](b, `document.querySelector('#pod-name').disabled`), "pods cannot be renamed")
	assert.Equal(t, "64MiB", eval[string](b, `document.querySelector('#pod-limits-memory').value`))
	b.text("dialog .preview", "Nothing differs")
	b.put("#pod-drain", "soon")
	b.text("#pod-drain-error", "is not such a value")
	b.put("#pod-drain", "2s")
	b.until(`document.querySelector('#pod-drain-error').textContent === ''`)
	b.put("#pod-max_nodes", "6")
	b.put("#pod-limits-memory", "32MiB")
	b.text("dialog .preview", "max_nodes: 8 → 6")
	b.text("dialog .preview", "limits.memory: 64MiB → 32MiB")
	b.text("dialog .preview", "Its 1 node will be replaced, rolling")
	b.shot("settings")
	b.press("dialog button", "Apply")
	p := holds(s, "/v1/pods/shop", func(p wire.Pod) bool { return p.MaxNodes == 6 && p.Status.Nodes.Online == 1 && p.Status.Converged })
	assert.Equal(t, "32MiB", p.Limits.Memory.String())
	assert.Equal(t, "2s", p.Drain.String())
	b.until(`!document.querySelector('dialog')`)
	b.sees(".node-text", "1 node online of 1 to 4, limit 6")

	// What is not in a field is changed as JSON; what the API refuses is said.
	b.press("button", "Settings")
	b.press("summary", "All settings, as JSON")
	b.put("#pod-json", `{"name":"shop","workload":{"command":["/shop"],"ports":{"http":99000}},"max_nodes":7}`)
	b.press("dialog button", "Apply")
	b.text("dialog .error", "99000")
	b.put("#pod-workload-ports-http", "8081")
	b.press("dialog button", "Apply")
	b.until(`!document.querySelector('dialog')`)
	p = holds(s, "/v1/pods/shop", func(p wire.Pod) bool { return p.MaxNodes == 7 })
	assert.Equal(t, 8081, p.Workload.Ports["http"])
	assert.Equal(t, 1, b.expect("422"), "the browser tells of the refused request")
}
