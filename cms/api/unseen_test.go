package api_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/wire"
)

// Who waits for nodes to be online is not answered with those of which nobody
// knows whether they are.
func TestUnseenNodesAreNotOnline(t *testing.T) {
	f := newFake()
	f.change("web", func(p *cms.PodStatus) {
		p.Nodes[0].Unseen, p.Counts.Unseen, p.Counts.Online, p.Cut = true, 1, 1, 4
	})
	a := newAPI(t, f)
	p := read[wire.Pod](t, call(t, a, "GET", "/v1/pods/web", nil))
	assert.Equal(t, wire.NodeCounts{Online: 1, New: 1, Unseen: 1}, p.Status.Nodes)
	assert.EqualValues(t, 4, p.Status.Cut)
	n := read[wire.Node](t, call(t, a, "GET", "/v1/pods/web/nodes/web-1", nil))
	assert.Equal(t, "online", n.State)
	assert.Equal(t, "not seen yet since the server started: host local has not answered", n.Reason)
}
