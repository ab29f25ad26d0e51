package dashboard_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/wire"
)

const elasticConfig = `
cluster: harbour
stack: embedded
tick: 200ms
pods:
- name: web
  workload: {command: [EXE, workload, --bind, 127.0.0.1, light], ports: {http: 8080}, probe: {http: /healthz}}
  limits: {cpu: 0.2, memory: 64MiB}
  max_nodes: 6
  fronts: [{listen: "FRONT1"}]
  elasticity: {enabled: true, min: 1, max: 4, policy: {kind: target, metric: in_flight, value: 2}}
`

// load keeps so many requests in flight until the function it returns is called.
func load(t *testing.T, front string, inFlight int) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var wait sync.WaitGroup
	for range inFlight {
		wait.Go(func() {
			for ctx.Err() == nil {
				r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+front+"/work?sleep=300ms", nil)
				if err != nil {
					return
				}
				if a, err := client.Do(r); err == nil {
					a.Body.Close()
				}
			}
		})
	}
	stop = sync.OnceFunc(func() { cancel(); wait.Wait() })
	t.Cleanup(stop)
	return stop
}

// agree waits until the page shows what the API says, and holds so for a while.
func agree(t *testing.T, s *server, b *browser, pod string, online int) {
	t.Helper()
	require.Eventually(t, func() bool {
		var p wire.Pod
		s.api("GET", "/v1/pods/"+pod, "", &p)
		if p.Status.Nodes.Online != online || p.Status.Want != online {
			return false
		}
		e := p.Status.Elasticity
		word := "nodes"
		if online == 1 {
			word = "node"
		}
		want := fmt.Sprintf("%d %s online of %d to %d, limit %d", online, word, e.Min, e.Max, p.MaxNodes)
		return eval[string](b, `document.querySelector('.node-text')?.textContent ?? ''`) == want
	}, 25*time.Second, 100*time.Millisecond, "page and API never agreed on %d nodes", online)
}

// A pod grows and shrinks, and the page says what the API says, without a reload.
func TestFollowsAPodThatScales(t *testing.T) {
	t.Parallel()
	s, fronts := start(t, elasticConfig, 1)
	b := open(t, s.url())
	b.signIn(operator)
	b.sees(".card.pod a", "web")
	eval[any](b, `window.mark = 1`)
	agree(t, s, b, "web", 1)

	stop := load(t, fronts[0], 5) // 5 in flight, 2 a node
	agree(t, s, b, "web", 3)
	b.shot("overview-scaled")
	b.press(".card.pod a", "web")
	b.sees("h1", "web")
	agree(t, s, b, "web", 3)
	b.until(`[...document.querySelectorAll('tbody tr .badge.online')].length === 3`)
	var nodes wire.List[wire.Node]
	s.api("GET", "/v1/pods/web/nodes", "", &nodes)
	for _, n := range nodes.Items {
		b.sees("tbody th", n.Name)
	}
	// The decision is there in the API's words, and its steps unfold.
	var p wire.Pod
	s.api("GET", "/v1/pods/web", "", &p)
	b.until(`[...document.querySelectorAll('.decisions .why')].some(x => x.textContent === %s)`, p.Status.LastChange.Reason)
	b.press(".decisions summary .why", p.Status.LastChange.Reason)
	for _, step := range p.Status.LastChange.Decision.Steps {
		b.until(`[...document.querySelectorAll('.steps li')].some(x => x.textContent.includes(%s))`, step.Text)
	}
	// Charts hold what was measured.
	assert.Equal(t, float64(4), eval[float64](b, `document.querySelectorAll('.uplot canvas').length`))

	stop()
	agree(t, s, b, "web", 1)
	assert.Equal(t, float64(1), eval[float64](b, `window.mark`), "the page was loaded again")
	b.visit("#/events")
	b.sees(".event-type", "pod.scaled")
	b.visit("#/balancer")
	b.sees("tbody th", "web")
}

// The connection breaks and comes back: the page says so, and then shows what
// happened in between.
func TestStreamIsCutAndRestored(t *testing.T) {
	t.Parallel()
	s, _ := start(t, elasticConfig, 1)
	b := open(t, s.url())
	b.signIn(operator)
	agree(t, s, b, "web", 1)

	s.wire.cut(true)
	b.until(`document.querySelector('#connection-text').textContent.startsWith('Last seen')`)
	b.until(`/Last seen [1-9]\d* s ago/.test(document.querySelector('#connection-text').textContent)`)
	b.press(".banner.lost button", "Try now")
	b.sees(".banner.lost button", "Try now")
	b.shot("disconnected")
	s.api("PATCH", "/v1/pods/web/elasticity", `{"min":3}`, nil)
	s.api("POST", "/v1/pods", `{"name":"late","workload":{"command":["true"]}}`, nil)
	assert.False(t, b.has(".card.pod a", "late"))

	s.wire.cut(false)
	b.until(`document.querySelector('#connection').dataset.state === 'live'`)
	b.sees(".card.pod a", "late")
	b.until(`!document.querySelector('.banner.lost')`)
	b.until(`[...document.querySelectorAll('.node-text')].some(x => x.textContent === '3 nodes online of 3 to 4, limit 6')`)
	b.visit("#/events")
	b.until(`[...document.querySelectorAll('.event-text')].some(x => x.textContent === 'pod late was created')`)
	assert.Equal(t, eval[float64](b, `document.querySelectorAll('.event').length`),
		eval[float64](b, `new Set([...document.querySelectorAll('.event')].map(x => x.textContent)).size`), "an event came twice")
	assert.Positive(t, b.expect("net::ERR_"), "the browser tells of requests that failed")
}
