package dashboard_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/elastipod/elastipod/cms/wire"
)

// What only changes how things are seen: filters, sorting, colours, holding the
// events, decisions that changed nothing.
func TestViews(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for i := range 8 {
		s.api("POST", "/v1/pods", fmt.Sprintf(`{"name":"pod-%d","workload":{"command":["/x"],"ports":{"http":80},"probe":{"none":true}},"fronts":[{"listen":"127.0.0.1:%d"}]}`, i, 41000+i), nil)
	}
	s.api("PATCH", "/v1/pods/pod-3/elasticity", `{"enabled":true,"min":2,"max":4}`, nil)
	holds(s, "/v1/pods/pod-3", func(p wire.Pod) bool { return p.Status.Nodes.Online == 2 })
	b := open(t, s.url)
	b.signIn(operator)
	texts := func(selector string) []string {
		return eval[[]string](b, `[...document.querySelectorAll(%s)].filter(x => x.checkVisibility()).map(x => x.textContent.trim())`, selector)
	}

	b.until(`document.querySelectorAll('.card.pod').length === 8`)
	b.put("input[type=search]", "pod-3")
	b.until(`document.querySelectorAll('.card.pod').length === 1`)
	b.put("input[type=search]", "")
	b.until(`document.querySelectorAll('.card.pod').length === 8`)

	paper := func() string { return eval[string](b, `getComputedStyle(document.body).backgroundColor`) }
	light := paper()
	b.press("#theme", "")
	assert.Equal(t, "Light", texts("#theme")[0])
	b.press("#theme", "")
	assert.Equal(t, "Dark", texts("#theme")[0])
	assert.NotEqual(t, light, paper())
	b.press("#theme", "")
	assert.Equal(t, light, paper())

	b.press(".card.pod a", "pod-3")
	b.sees(".decisions .change.up", "")
	before := len(texts(".decisions li"))
	b.press("label", "Also those that change nothing")
	b.until(`document.querySelectorAll('.decisions .change.same').length > 3`)
	b.press(".decisions .change.same ~ .why", "")
	b.sees(".steps .rule", "")
	b.press("label", "Also those that change nothing")
	b.until(`document.querySelectorAll('.decisions li').length === %s`, before)

	b.visit("#/balancer")
	b.until(`document.querySelectorAll('.table')[0]?.querySelectorAll('tbody tr').length === 8`)
	names := func() []string { return texts(".table[aria-label=Fronts] tbody th") }
	b.press(".table[aria-label=Fronts] thead button", "Front")
	assert.Equal(t, "pod-7", names()[0], "sorted the other way")
	assert.Equal(t, "descending", eval[string](b, `document.querySelector('.table thead th').getAttribute('aria-sort')`))
	b.press(".table[aria-label=Fronts] thead button", "Servers")
	assert.Equal(t, "pod-3", names()[0], "most servers first")
	b.put("input[type=search]", "41005")
	b.until(`document.querySelectorAll('.table')[0].querySelectorAll('tbody tr').length === 1`)
	b.put("input[type=search]", "nothing like it")
	b.sees(".empty", "Nothing matches the filter.")

	b.visit("#/events")
	b.sees(".event-type", "pod.scaled")
	b.put("select", "node")
	b.until(`[...document.querySelectorAll('.event-type')].every(x => x.textContent.startsWith('node.'))`)
	b.put("select", "")
	b.put("input[type=search]", "pod-5 created")
	b.until(`document.querySelectorAll('.event').length === 1`)
	b.put("input[type=search]", "")
	b.press("button", "Hold")
	held := len(texts(".event"))
	s.api("POST", "/v1/pods", `{"name":"late","workload":{"command":["/x"]}}`, nil)
	b.wait(600_000_000)
	assert.Len(t, texts(".event"), held, "nothing moves while one reads")
	b.press("button", "Hold")
	b.text(".event-text", "pod late was created")
}
