package inproc

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/elastipod/elastipod/balancer"
)

// still is a front that listens nowhere.
func still(alg balancer.Algorithm, max int, servers ...balancer.Server) *front {
	f := newFront(Config{}.WithDefaults(), newShared(), balancer.Front{Name: "web", Listen: "127.0.0.1:1", Algorithm: alg, MaxConn: max}.WithDefaults())
	f.apply(servers)
	return f
}

func nServers(n int) []balancer.Server {
	var out []balancer.Server
	for i := range n {
		out = append(out, balancer.Server{Name: fmt.Sprintf("n-%02d", i), Addr: fmt.Sprintf("127.0.0.1:%d", 1000+i)})
	}
	return out
}

// TestPickProperties draws fronts in any state and checks what is true of every
// choice.
func TestPickProperties(t *testing.T) {
	algorithms := []balancer.Algorithm{balancer.LeastConn, balancer.RoundRobin, balancer.Random, balancer.First, balancer.Source}
	rapid.Check(t, func(t *rapid.T) {
		alg := rapid.SampledFrom(algorithms).Draw(t, "algorithm")
		most := rapid.IntRange(0, 3).Draw(t, "max")
		if alg == balancer.First {
			most++
		}
		want := nServers(rapid.IntRange(0, 6).Draw(t, "servers"))
		for i := range want {
			want[i].Weight = rapid.IntRange(1, 256).Draw(t, "weight")
			want[i].State = rapid.SampledFrom([]balancer.ServerState{balancer.Ready, balancer.Drain}).Draw(t, "state")
		}
		f := still(alg, most, want...)
		var tried []*server
		for _, s := range f.servers {
			s.down = rapid.Bool().Draw(t, "down")
			s.inFlight = rapid.IntRange(0, 4).Draw(t, "in flight")
			if rapid.Bool().Draw(t, "tried") {
				tried = append(tried, s)
			}
		}
		hopeful := func(s *server) bool { return s.State == balancer.Ready && !s.down && !slices.Contains(tried, s) }
		room := func(s *server) bool { return most == 0 || s.inFlight < most }
		ready, good, open := 0, 0, 0
		for _, s := range f.servers {
			if s.State == balancer.Ready {
				ready++
			}
			if hopeful(s) {
				good++
				if room(s) {
					open++
				}
			}
		}
		s, some := f.pick(rapid.Uint64().Draw(t, "client"), tried)
		if s != nil {
			require.Equal(t, balancer.Ready, s.State, "it drains")
			require.True(t, room(s), "it is full")
			if good > 0 {
				require.True(t, hopeful(s), "there was a better one")
			}
		}
		require.Equal(t, ready > 0, some)
		if open > 0 {
			require.NotNil(t, s, "one had room")
		}
		if s != nil && alg == balancer.LeastConn && good > 0 {
			for _, o := range f.servers {
				if hopeful(o) && room(o) {
					require.LessOrEqual(t, (s.inFlight+1)*o.Weight, (o.inFlight+1)*s.Weight, "the least busy by weight")
				}
			}
		}
		if s != nil && alg == balancer.First && good > 0 {
			for _, o := range f.servers {
				if hopeful(o) && room(o) {
					require.Equal(t, o.Name, s.Name, "the first by name")
					break
				}
			}
		}
	})
}

// TestSmoothIsExact: in as many turns as the sum of the weights, each server
// gets its weight.
func TestSmoothIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := nServers(rapid.IntRange(1, 5).Draw(t, "servers"))
		total := 0
		for i := range want {
			want[i].Weight = rapid.IntRange(1, 20).Draw(t, "weight")
			total += want[i].Weight
		}
		f := still(balancer.RoundRobin, 0, want...)
		got := map[string]int{}
		for range 3 * total {
			s, _ := f.pick(0, nil)
			got[s.Name]++
		}
		for _, w := range want {
			require.Equal(t, 3*w.Weight, got[w.Name])
		}
	})
}

func TestLeastConnTakesTurns(t *testing.T) {
	f := still(balancer.LeastConn, 0, nServers(3)...)
	got := map[string]int{}
	for range 30 {
		s, _ := f.pick(0, nil)
		got[s.Name]++
	}
	assert.Equal(t, map[string]int{"n-00": 10, "n-01": 10, "n-02": 10}, got)
}

func TestSourceSpreadsByWeightAndMovesFew(t *testing.T) {
	servers := nServers(4)
	servers[0].Weight = 200
	f := still(balancer.Source, 0, servers...)
	const n = 5000
	home := make([]string, n)
	got := map[string]int{}
	for i := range n {
		s, _ := f.pick(hashString(fmt.Sprintf("10.0.%d.%d", i/256, i%256)), nil)
		home[i] = s.Name
		got[s.Name]++
	}
	assert.InDelta(t, n*2/5, got["n-00"], n/25, "%v", got)
	assert.InDelta(t, n/5, got["n-01"], n/25, "%v", got)
	f.apply(servers[:3])
	for i := range n {
		s, _ := f.pick(hashString(fmt.Sprintf("10.0.%d.%d", i/256, i%256)), nil)
		if home[i] != "n-03" {
			require.Equal(t, home[i], s.Name, "only the clients of the server that went move")
		}
	}
}

func BenchmarkPick(b *testing.B) {
	for _, alg := range []balancer.Algorithm{balancer.LeastConn, balancer.RoundRobin, balancer.Random, balancer.Source} {
		for _, n := range []int{4, 100} {
			b.Run(fmt.Sprintf("%s-%d", alg, n), func(b *testing.B) {
				f := still(alg, 100, nServers(n)...)
				b.ReportAllocs()
				for b.Loop() {
					f.pick(42, nil)
				}
			})
		}
	}
}
