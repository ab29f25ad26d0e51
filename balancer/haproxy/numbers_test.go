package haproxy

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/elastipod/elastipod/balancer"
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
