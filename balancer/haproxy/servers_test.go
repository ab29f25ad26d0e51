package haproxy

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/balancertest"
)

func TestFirstMakesRoomByAReload(t *testing.T) {
	b := openBalancer(t)
	f := balancer.Front{Name: "web", Listen: balancertest.FreeAddr(t), Algorithm: balancer.First, MaxConn: 1}
	setFront(t, b, f)
	m := newNode(t, "m")
	want := []balancer.Server{m.server(), {Name: "z", Addr: m.addr}}
	apply(t, b, "web", want...)
	// Each new name is the nearest before "m": the gap halves every time.
	for i := range 40 {
		name := "l" + strings.Repeat("z", i)
		want = append(want, balancer.Server{Name: name, Addr: m.addr})
		apply(t, b, "web", want...)
	}
	first := newNode(t, "a")
	apply(t, b, "web", append(want, first.server())...)
	require.NoError(t, get(f.Listen))
	assert.EqualValues(t, 1, first.hits.Load(), "the first by name")
	assert.Len(t, observe(t, b, "web").Servers, 43)
}

func TestSourceStaysOverReloads(t *testing.T) {
	b := openBalancer(t)
	f := balancer.Front{Name: "web", Listen: balancertest.FreeAddr(t), Algorithm: balancer.Source}
	setFront(t, b, f)
	var nodes []*node
	var servers []balancer.Server
	for i := range 5 {
		n := newNode(t, fmt.Sprintf("n-%d", i))
		nodes, servers = append(nodes, n), append(servers, n.server())
	}
	// Added in two steps, so that their order in HAProxy is not that of the names.
	apply(t, b, "web", servers[3:]...)
	apply(t, b, "web", servers...)
	require.NoError(t, get(f.Listen))
	home := slices.IndexFunc(nodes, func(n *node) bool { return n.hits.Load() == 1 })
	require.GreaterOrEqual(t, home, 0)
	f.MaxConn = 7
	setFront(t, b, f)
	require.NoError(t, get(f.Listen))
	assert.EqualValues(t, 2, nodes[home].hits.Load())
}

// Nothing that a caller names reaches HAProxy unless it is a plain name. Here
// the last line of defence is tried: what would happen without validation.
func TestHostileTextDoesNotReachTheSocket(t *testing.T) {
	b := openBalancer(t)
	setFront(t, b, balancer.Front{Name: "web", Listen: balancertest.FreeAddr(t)})
	s, err := b.cfg.openSession(ctxFor(t))
	require.NoError(t, err)
	defer s.close()
	for _, bad := range []string{
		"show info\nshutdown frontend web",
		"set server web/a\r\n state ready",
		"show info; shutdown frontend web",
		strings.Repeat("x", maxLine),
	} {
		_, err := s.run(ctxFor(t), bad)
		require.Error(t, err, "%.40q", bad)
	}
	require.ErrorIs(t, b.Apply(ctxFor(t), "web; shutdown frontend web", nil), balancer.ErrNoFront)
	require.NoError(t, b.RemoveFront(ctxFor(t), "web\nshutdown frontend web"))
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	assert.Equal(t, 1, len(b.snapshot()))
}

func TestServersThatSomebodyElseChangedAreMended(t *testing.T) {
	b := openBalancer(t)
	f := balancer.Front{Name: "web", Listen: balancertest.FreeAddr(t)}
	a := newNode(t, "a")
	setFront(t, b, f)
	apply(t, b, "web", a.server())
	s, err := b.cfg.openSession(ctxFor(t))
	require.NoError(t, err)
	defer s.close()
	require.NoError(t, s.command(ctxFor(t), "set server web/a state maint", "set server web/a weight 3",
		"add server web/stranger 127.0.0.1:9 id 99"))
	require.Error(t, get(f.Listen))
	apply(t, b, "web", a.server())
	require.NoError(t, get(f.Listen))
	all, err := readServers(ctxFor(t), s, "web")
	require.NoError(t, err)
	require.Len(t, all["web"], 1)
	assert.Equal(t, balancer.DefaultWeight, all["web"]["a"].weight)
}
