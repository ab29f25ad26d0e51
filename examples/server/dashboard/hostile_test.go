package dashboard_test

import (
	"errors"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/pod"
)

// Whatever a node's output, an engine, an error or an address says stays a text.
func TestHostileTexts(t *testing.T) {
	t.Parallel()
	const evil = `<img src=x onerror="window.hacked=1"><script>window.hacked=1</script><svg onload=window.hacked=1>"'` + "`${window.hacked=1}`javascript:window.hacked=1"
	s := newStage(t)
	s.api("POST", "/v1/cluster/init", "", nil)
	s.api("PATCH", "/v1/pods/shop/elasticity", `{"enabled":true,"min":1,"max":3}`, nil)
	holds(s, "/v1/pods/shop", func(p wire.Pod) bool { return p.Status.Nodes.Online == 1 })
	var nodes wire.List[wire.Node]
	s.api("GET", "/v1/pods/shop/nodes", "", &nodes)
	s.hosts["local"].Log(pod.NodeID{Pod: "shop", Name: nodes.Items[0].Name}, evil)
	s.hosts["local"].FailStarts(-1, errors.New(evil))
	s.api("PATCH", "/v1/pods/shop/elasticity", `{"min":2}`, nil)
	s.api("PATCH", "/v1/pods/shop", `{"workload":{"env":{"EVIL":"`+`<script>window.hacked=1</script>`+`"}}}`, nil)

	b := open(t, s.url+"/#/pods/"+url.PathEscape(evil))
	b.signIn(operator)
	b.sees("h1", "There is no pod "+evil)
	b.visit("#/")
	b.text(".problems li", evil)
	b.shot("hostile")
	b.visit("#/pods/shop")
	b.press("button", "Log of "+nodes.Items[0].Name)
	b.text(".log", evil)
	b.text(".problems li", evil)
	b.text("pre", "<script>")
	b.visit("#/events")
	b.text(".event-text", evil)
	b.put("input[type=search]", evil)
	b.visit("#/balancer")
	b.visit("#/" + evil)
	b.sees("h1", "There is no such page")
	b.visit("#/pods/%E0%A4%A")
	b.sees("h1", "There is no such page")
	assert.False(t, eval[bool](b, `window.hacked !== undefined`), "something of it was run")
	assert.Equal(t, float64(0), eval[float64](b, `document.querySelectorAll('main script, main img, main svg[onload]').length`))
}
