package haproxy

import (
	"errors"
	"hash/fnv"
	"maps"
	"slices"

	"github.com/elastipod/elastipod/balancer"
)

// maxID is the greatest number that HAProxy gives to a server.
const maxID = 1<<31 - 1

// hashID is a number for the name that is the same wherever it is computed, so
// that consistent hashing, which goes by the number, sends a client to the same
// server after a reload or with another set of servers.
func hashID(taken map[int]bool, name string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	id := int(h.Sum32()%maxID) + 1
	for taken[id] {
		id = id%maxID + 1
	}
	return id
}

func takenIDs(servers map[string]server) map[int]bool {
	taken := make(map[int]bool, len(servers))
	for _, s := range servers {
		taken[s.id] = true
	}
	return taken
}

// errNoNumber says that no number is left between those of two neighbours.
var errNoNumber = errors.New("haproxy: no number is left for a server")

// nextID returns a number for one more server. For "first", numbers are in the
// order of the names; ok is false if there is none left between its neighbours.
func nextID(a balancer.Algorithm, servers map[string]server, name string) (id int, ok bool) {
	if a != balancer.First {
		return hashID(takenIDs(servers), name), true
	}
	low, high := 0, maxID+1
	for _, s := range servers {
		switch {
		case s.Name < name:
			low = max(low, s.id)
		case s.Name > name:
			high = min(high, s.id)
		default:
			return s.id, true // to be replaced
		}
	}
	if high == maxID+1 {
		high = min(high, low+2*idGap) // most often names grow
	}
	if high-low < 2 {
		return 0, false
	}
	return low + (high-low)/2, true
}

// idGap is left between numbers in the order of names.
const idGap = 1 << 16

// number gives every server its number for a new configuration.
func number(a balancer.Algorithm, servers map[string]server) map[string]server {
	out := make(map[string]server, len(servers))
	taken := map[int]bool{}
	for i, name := range slices.Sorted(maps.Keys(servers)) {
		s := servers[name]
		if a == balancer.First {
			s.id = (i + 1) * min(idGap, maxID/(len(servers)+1))
		} else {
			s.id = hashID(taken, name)
		}
		taken[s.id] = true
		out[name] = s
	}
	return out
}
