package haproxy

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/balancertest"
)

func TestNumbersForFirstAreInTheOrderOfNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z0-9][a-z0-9.-]{0,8}`), 1, 60, rapid.ID[string]).Draw(t, "names")
		servers := map[string]server{}
		for _, name := range names {
			id, ok := nextID(balancer.First, servers, name)
			if !ok {
				servers = number(balancer.First, servers)
				id, ok = nextID(balancer.First, servers, name)
				if !ok {
					t.Fatalf("no number for %s after numbering anew", name)
				}
			}
			servers[name] = server{Server: balancer.Server{Name: name}, id: id}
		}
		for _, all := range []map[string]server{servers, number(balancer.First, servers)} {
			last := 0
			for _, name := range slices.Sorted(maps.Keys(all)) {
				if all[name].id <= last || all[name].id > maxID {
					t.Fatalf("%s has %d behind %d", name, all[name].id, last)
				}
				last = all[name].id
			}
		}
	})
}

func TestNumbersAreStableAndDistinct(t *testing.T) {
	servers := map[string]server{}
	for i := range 2000 {
		name := fmt.Sprintf("web-%d", i)
		id, ok := nextID(balancer.Source, servers, name)
		require.True(t, ok)
		servers[name] = server{Server: balancer.Server{Name: name}, id: id}
	}
	assert.Len(t, takenIDs(servers), 2000)
	again := number(balancer.Source, servers)
	for name, s := range servers {
		assert.Equal(t, s.id, again[name].id, "a reload does not move clients: %s", name)
	}
	assert.Equal(t, hashID(nil, "a"), hashID(map[int]bool{1: true}, "a"))
	assert.NotEqual(t, hashID(nil, "a"), hashID(map[int]bool{hashID(nil, "a"): true}, "a"))
}

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
