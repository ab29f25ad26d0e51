package api_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/pod"
)

// later does something once a request has begun to wait.
func later(t *testing.T, do func()) {
	t.Helper()
	timer := time.AfterFunc(50*time.Millisecond, do)
	t.Cleanup(func() { timer.Stop() })
}

func TestWait(t *testing.T) {
	f := newFake()
	a := newAPI(t, f)
	node := func(i int, s pod.State) func() {
		return func() { f.change("web", func(p *cms.PodStatus) { p.Nodes[i].State = s }) }
	}
	later(t, node(2, pod.StateOnline))
	r := call(t, a, "POST", "/v1/pods/web/launch?wait=10s", nil)
	assert.Equal(t, 200, r.StatusCode)
	assert.Equal(t, "online", read[wire.Node](t, r).State)

	later(t, func() { f.change("web", func(p *cms.PodStatus) { p.Nodes = p.Nodes[1:] }) })
	r = call(t, a, "DELETE", "/v1/pods/web/nodes/web-1?wait=10s", nil)
	assert.Equal(t, 200, r.StatusCode)
	assert.Equal(t, "gone", read[wire.Node](t, r).State)

	r = call(t, a, "POST", "/v1/pods/web/pause?wait=50ms", nil)
	assert.Equal(t, 202, r.StatusCode, "not done in time is no error")
	assert.Equal(t, "paused", read[wire.Pod](t, r).Status.State)

	later(t, func() { f.change("web", func(*cms.PodStatus) { delete(f.pods, "web") }) })
	r = call(t, a, "DELETE", "/v1/pods/web?wait=10s", nil)
	assert.Equal(t, 200, r.StatusCode)
	assert.Equal(t, "gone", read[wire.Pod](t, r).Status.State)
}

// A server that ends answers who waits, and not with an error.
func TestWaitEndsWithTheServer(t *testing.T) {
	f := newFake()
	a := newAPI(t, f)
	later(t, func() { assert.NoError(t, a.Close()) })
	begun := time.Now()
	r := call(t, a, "POST", "/v1/pods/web/launch?wait=10m", nil)
	assert.Equal(t, 202, r.StatusCode)
	assert.Less(t, time.Since(begun), time.Minute)
	r = call(t, a, "POST", "/v1/pods/web/pause?wait=10m", nil)
	assert.Equal(t, 202, r.StatusCode, "nor does it wait from then on")
	f.hostsStay = true
	r = call(t, a, "DELETE", "/v1/hosts/local?drain=true&wait=10m", nil)
	assert.Equal(t, 202, r.StatusCode)
	assert.Less(t, time.Since(begun), time.Minute)
}

func TestPages(t *testing.T) {
	f := newFake()
	for i := range 7 {
		f.add(cms.PodSpec{Spec: pod.Spec{Name: fmt.Sprintf("p%d", i), Workload: pod.Workload{Command: []string{"x"}}}})
	}
	a := newAPI(t, f)
	for _, path := range []string{"/v1/pods", "/v1/pods/web/nodes"} {
		whole := read[wire.List[map[string]any]](t, call(t, a, "GET", path, nil))
		assert.Empty(t, whole.Next)
		var items []map[string]any
		after := ""
		for pages := 0; ; pages++ {
			require.Less(t, pages, 10)
			l := read[wire.List[map[string]any]](t, call(t, a, "GET", path+"?limit=2&after="+after, nil))
			require.LessOrEqual(t, len(l.Items), 2)
			items = append(items, l.Items...)
			if after = l.Next; after == "" {
				break
			}
		}
		assert.Equal(t, whole.Items, items, path)
	}
}
