package cms

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/elastipod/elastipod/pod"
)

// Whatever comes and goes, no host is given more than it has, and room tells
// exactly how many more are taken.
func TestPlacerNeverOverfills(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hosts := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) candidate {
			return candidate{
				capacity: pod.Resources{CPU: rapid.Float64Range(0, 8).Draw(t, "cpu"), Memory: rapid.Int64Range(0, 4<<30).Draw(t, "memory")},
				refused:  rapid.SampledFrom([]string{"", "", "", "cordoned"}).Draw(t, "refused"),
			}
		}), 0, 4).Draw(t, "hosts")
		for i := range hosts {
			hosts[i].name = fmt.Sprintf("h%d", i)
		}
		limits := func() pod.Limits {
			return pod.Limits{CPU: rapid.Float64Range(0.01, 2).Draw(t, "cpu"), Memory: rapid.Int64Range(1<<20, 1<<30).Draw(t, "memory")}
		}
		p := newPlacer()
		placed := map[pod.NodeID]string{}
		for i := range rapid.IntRange(1, 40).Draw(t, "steps") {
			id := pod.NodeID{Pod: "p", Name: fmt.Sprintf("n%d", i)}
			l := limits()
			room, why := p.room(l, hosts, 1000)
			host, err := p.reserve(id, l, hosts)
			if room == 0 {
				require.ErrorIs(t, err, errNoRoom)
				require.NotEmpty(t, why)
				continue
			}
			require.NoError(t, err)
			placed[id] = host
			if rapid.Bool().Draw(t, "release") {
				for victim := range placed {
					p.release(victim)
					delete(placed, victim)
					break
				}
			}
			for _, h := range hosts {
				used, n := p.on(h.name)
				assert.LessOrEqual(t, used.CPU, h.capacity.CPU+1e-3)
				assert.LessOrEqual(t, used.Memory, h.capacity.Memory)
				if h.refused != "" {
					assert.Zero(t, n)
				}
			}
		}
		l := limits()
		room, _ := p.room(l, hosts, 1000)
		for i := range min(room, 200) {
			_, err := p.reserve(pod.NodeID{Pod: "q", Name: fmt.Sprint(i)}, l, hosts)
			require.NoError(t, err, "room for %d, refused at %d", room, i)
		}
		if room < 200 {
			_, err := p.reserve(pod.NodeID{Pod: "q", Name: "over"}, l, hosts)
			require.ErrorIs(t, err, errNoRoom)
		}
	})
}

func TestPlacerFillsFractionsExactly(t *testing.T) {
	p := newPlacer()
	host := []candidate{{name: "a", capacity: pod.Resources{CPU: 1, Memory: 1 << 30}}}
	for i := range 10 {
		_, err := p.reserve(pod.NodeID{Name: fmt.Sprint(i)}, pod.Limits{CPU: 0.1, Memory: 1 << 20}, host)
		require.NoError(t, err, "%d", i)
	}
	_, err := p.reserve(pod.NodeID{Name: "over"}, pod.Limits{CPU: 0.1, Memory: 1 << 20}, host)
	assert.ErrorContains(t, err, "host a 0 of 1 CPUs free")
	p.release(pod.NodeID{Name: "3"})
	_, err = p.reserve(pod.NodeID{Name: "over"}, pod.Limits{CPU: 0.2, Memory: 1 << 20}, host)
	assert.ErrorContains(t, err, "host a 0.1 of 1 CPUs free")
	_, err = p.reserve(pod.NodeID{Name: "over"}, pod.Limits{CPU: 0.1, Memory: 1}, nil)
	assert.ErrorContains(t, err, "no host")
}

// Of the room only what is missing is told.
func TestRoomIsToldWhereItIsShort(t *testing.T) {
	p := newPlacer()
	hosts := []candidate{
		{name: "a", capacity: pod.Resources{CPU: 1, Memory: 1 << 30}},
		{name: "b", capacity: pod.Resources{CPU: 8, Memory: 1 << 30}, refused: "is being removed"},
	}
	l := pod.Limits{CPU: 0.5, Memory: 1 << 20}
	for most, want := range []int{0, 1, 2, 2} {
		n, why := p.room(l, hosts, most)
		assert.Equal(t, want, n)
		if most <= want {
			assert.Empty(t, why)
		} else {
			assert.Equal(t, "host a 0 of 1 CPUs free, host b is being removed", why)
		}
	}
}

// A node makes room on its own host for one of the other limits, of CPU as of
// memory.
func TestPlacerInstead(t *testing.T) {
	p := newPlacer()
	hosts := []candidate{
		{name: "a", capacity: pod.Resources{CPU: 1, Memory: 1 << 30}},
		{name: "b", capacity: pod.Resources{CPU: 1, Memory: 1 << 30}, refused: "cordoned"},
	}
	small, large := pod.NodeID{Name: "small"}, pod.NodeID{Name: "large"}
	p.hold(small, "a", pod.Limits{CPU: 0.2, Memory: 200 << 20})
	p.hold(large, "a", pod.Limits{CPU: 0.8, Memory: 824 << 20})
	p.hold(pod.NodeID{Name: "there"}, "b", pod.Limits{CPU: 0.8, Memory: 824 << 20})
	for _, c := range []struct {
		gone pod.NodeID
		cpu  float64
		mib  int64
		want bool
	}{
		{small, 0.2, 200, true},
		{small, 0.3, 200, false},
		{small, 0.2, 300, false},
		{large, 0.3, 300, true},
		{pod.NodeID{Name: "there"}, 0.2, 200, false},
		{pod.NodeID{Name: "unknown"}, 0.1, 1, false},
	} {
		assert.Equal(t, c.want, p.instead(c.gone, pod.Limits{CPU: c.cpu, Memory: c.mib << 20}, hosts), "%+v", c)
	}
}
