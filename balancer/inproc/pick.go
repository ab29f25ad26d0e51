package inproc

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/elastipod/elastipod/balancer"
)

// pick chooses a server that takes a request now, by the front's algorithm. It
// passes over those that are full, down, or tried; where only the latter two
// kinds are left, it takes them. It returns nil where all are full, or there is
// none: some says which. front.mu is held.
func (f *front) pick(client uint64, tried []*server) (s *server, some bool) {
	set := f.settings.Load()
	if s = f.choose(set, client, func(s *server) bool { return !s.down && !slices.Contains(tried, s) }); s != nil {
		return s, true
	}
	// Servers that are up and were not tried are worth waiting for.
	for _, s := range f.servers {
		if s.State == balancer.Ready {
			some = true
			if !s.down && !slices.Contains(tried, s) {
				return nil, true
			}
		}
	}
	if !some {
		return nil, false
	}
	if s = f.choose(set, client, func(s *server) bool { return !slices.Contains(tried, s) }); s != nil {
		return s, true
	}
	return f.choose(set, client, func(*server) bool { return true }), true
}

// choose chooses among the servers that are ready, below the maximum, and right.
func (f *front) choose(set *balancer.Front, client uint64, right func(*server) bool) *server {
	fits := func(s *server) bool {
		return s.State == balancer.Ready && (set.MaxConn == 0 || s.inFlight < set.MaxConn) && right(s)
	}
	switch set.Algorithm {
	case balancer.RoundRobin:
		return smooth(f.servers, fits)
	case balancer.Random:
		return f.random(fits)
	case balancer.First:
		for _, s := range f.servers {
			if fits(s) {
				return s
			}
		}
		return nil
	case balancer.Source:
		return rendezvous(f.servers, client, fits)
	default:
		return f.leastConn(fits)
	}
}

// leastConn returns the server with the fewest requests in flight by weight.
// Equals take turns.
func (f *front) leastConn(fits func(*server) bool) *server {
	var best *server
	at := 0
	n := len(f.servers)
	if f.next >= n {
		f.next = 0
	}
	for i := range n {
		j := f.next + i
		if j >= n {
			j -= n
		}
		s := f.servers[j]
		if fits(s) && (best == nil || (s.inFlight+1)*best.Weight < (best.inFlight+1)*s.Weight) {
			best, at = s, j
		}
	}
	f.next = at + 1
	return best
}

// smooth is the weighted round robin that spreads each server's turns: all gain
// their weight, and the richest pays the total.
func smooth(servers []*server, fits func(*server) bool) *server {
	var best *server
	total := 0
	for _, s := range servers {
		if !fits(s) {
			continue
		}
		s.current += s.Weight
		total += s.Weight
		if best == nil || s.current > best.current {
			best = s
		}
	}
	if best != nil {
		best.current -= total
	}
	return best
}

// random draws two by weight and takes the less busy.
func (f *front) random(fits func(*server) bool) *server {
	total := 0
	for _, s := range f.servers {
		if fits(s) {
			total += s.Weight
		}
	}
	if total == 0 {
		return nil
	}
	draw := func() *server {
		at := rand.IntN(total)
		for _, s := range f.servers {
			if fits(s) {
				if at -= s.Weight; at < 0 {
					return s
				}
			}
		}
		return nil
	}
	a, b := draw(), draw()
	if (b.inFlight+1)*a.Weight < (a.inFlight+1)*b.Weight {
		return b
	}
	return a
}

// rendezvous returns the server with the highest score for the client, so that
// when one comes or goes only its own clients move (Thaler and Ravishankar,
// "Using name-based mappings to increase hit rates", 1998; weights after
// Schindelhauer and Schomaker, 2005).
func rendezvous(servers []*server, client uint64, fits func(*server) bool) *server {
	var best *server
	high := math.Inf(-1)
	for _, s := range servers {
		if !fits(s) {
			continue
		}
		unit := (float64(mix(client^s.hash)>>11) + 0.5) / (1 << 53)
		if score := -float64(s.Weight) / math.Log(unit); score > high {
			best, high = s, score
		}
	}
	return best
}

// hashString is FNV-1a, stirred: a client stays with its server when the program
// starts anew.
func hashString(s string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s))
	return mix(h.Sum64())
}

// mix is the finaliser of SplitMix64.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
