package reconcile

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/pod"
)

// inRoom returns a turn that knows these hosts.
func inRoom(hosts ...Room) *turn {
	w := World{Now: simEpoch, Name: "web", Room: hosts}
	for i := range w.Room {
		if w.Room[i].Free == (pod.Resources{}) {
			w.Room[i].Free = w.Room[i].Capacity
		}
	}
	return begin(w)
}

func drawLimits(t *rapid.T) pod.Limits {
	return pod.Limits{CPU: rapid.Float64Range(0.01, 2).Draw(t, "cpu"), Memory: rapid.Int64Range(1<<20, 1<<30).Draw(t, "memory")}
}

// Whatever is placed, no host is given more than it has, and roomFor tells exactly
// how many more are taken.
func TestNoHostIsOverfilled(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		hosts := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Room {
			return Room{
				Capacity: pod.Resources{CPU: rapid.Float64Range(0.001, 8).Draw(t, "cpu"), Memory: rapid.Int64Range(1, 4<<30).Draw(t, "memory")},
				Refused:  rapid.SampledFrom([]string{"", "", "", "cordoned"}).Draw(t, "refused"),
			}
		}), 0, 4).Draw(r, "hosts")
		for i := range hosts {
			hosts[i].Host = fmt.Sprintf("h%d", i)
		}
		turn := inRoom(hosts...)
		placed := 0
		for range rapid.IntRange(1, 40).Draw(r, "steps") {
			l := drawLimits(r)
			room, why := turn.roomFor(l, turn.usable(), 4000)
			host, not := turn.choose(l, turn.usable())
			require.Equal(r, room == 4000, why == "")
			if room == 0 {
				require.Empty(r, host)
				require.Equal(r, why, not)
				continue
			}
			require.NotEmpty(r, host)
			require.Empty(r, not)
			placed++
			require.Len(r, turn.plan.Reserve, placed)
			left, _ := turn.roomFor(l, turn.usable(), 4000)
			require.Equal(r, room-1, left)
		}
		for _, h := range turn.room {
			assert.GreaterOrEqual(r, h.Free.CPU, -1e-3)
			assert.GreaterOrEqual(r, h.Free.Memory, int64(0))
			if h.Refused != "" {
				assert.Zero(r, h.Nodes)
				assert.Equal(r, h.Capacity, h.Free)
			}
		}
		for _, hold := range turn.plan.Reserve {
			assert.Empty(r, turn.refusal(hold.Host))
		}
	})
}

// refusal says why a host takes no nodes.
func (t *turn) refusal(host string) string {
	for _, r := range t.room {
		if r.Host == host {
			return r.Refused
		}
	}
	return "unknown"
}

func TestRoomIsFilledWithFractionsExactly(t *testing.T) {
	turn := inRoom(Room{Host: "a", Capacity: pod.Resources{CPU: 1, Memory: 1 << 30}})
	for i := range 10 {
		host, why := turn.choose(pod.Limits{CPU: 0.1, Memory: 1 << 20}, turn.usable())
		require.Equal(t, "a", host, "%d: %s", i, why)
	}
	_, why := turn.choose(pod.Limits{CPU: 0.1, Memory: 1 << 20}, turn.usable())
	assert.Equal(t, "host a 0 of 1 CPUs free", why)
	_, why = turn.choose(pod.Limits{CPU: 0.1, Memory: 1}, nil)
	assert.Equal(t, "there is no host that the pod may use", why)
}

// Of the room only what is missing is told.
func TestRoomIsToldWhereItIsShort(t *testing.T) {
	turn := inRoom(
		Room{Host: "a", Capacity: pod.Resources{CPU: 1, Memory: 1 << 30}},
		Room{Host: "b", Capacity: pod.Resources{CPU: 8, Memory: 1 << 30}, Refused: "is being removed"},
	)
	l := pod.Limits{CPU: 0.5, Memory: 1 << 20}
	for most, want := range []int{0, 1, 2, 2} {
		n, why := turn.roomFor(l, turn.usable(), most)
		assert.Equal(t, want, n)
		if most <= want {
			assert.Empty(t, why)
		} else {
			assert.Equal(t, "host a 0 of 1 CPUs free, host b is being removed", why)
		}
	}
	_, why := turn.roomFor(pod.Limits{CPU: 0.1, Memory: 600 << 20}, turn.usable(), 2)
	assert.Equal(t, "host a 424MiB of 1GiB memory free, host b is being removed", why)
	_, why = turn.roomFor(pod.Limits{CPU: 0.7, Memory: 1}, turn.usable(), 2)
	assert.Equal(t, "host a 0.3 of 1 CPUs free, host b is being removed", why)
	over := inRoom(Room{Host: "a", Capacity: pod.Resources{CPU: 4, Memory: 1 << 30}, Free: pod.Resources{CPU: -1, Memory: -5}})
	_, why = over.roomFor(l, over.usable(), 1)
	assert.Equal(t, "host a 0 of 4 CPUs free", why, "others had more when the host was larger")
	_, why = over.roomFor(pod.Limits{CPU: 0, Memory: 1}, nil, 1)
	assert.NotEmpty(t, why)
}

// Nodes are spread: by the share of CPU that is left, then of memory, then by the
// number of nodes, then by name.
func TestNodesAreSpread(t *testing.T) {
	cpu := func(name string, has, free float64) Room {
		return Room{Host: name, Capacity: pod.Resources{CPU: has, Memory: 8 << 30}, Free: pod.Resources{CPU: free, Memory: 8 << 30}}
	}
	mem := func(r Room, free int64) Room { r.Free.Memory = free << 30; return r }
	on := func(r Room, n int) Room { r.Nodes = n; return r }
	l := pod.Limits{CPU: 1, Memory: 1 << 30}
	for _, c := range []struct {
		hosts []Room
		want  string
	}{
		{[]Room{cpu("a", 4, 4), cpu("b", 8, 8)}, "b"}, // 3/4 would be left, or 7/8
		{[]Room{cpu("a", 4, 2), cpu("b", 4, 3)}, "b"},
		{[]Room{cpu("a", 4, 3), cpu("b", 4, 2)}, "a"},
		{[]Room{cpu("a", 2, 1), cpu("b", 20, 9)}, "b"},
		{[]Room{mem(cpu("a", 4, 4), 2), mem(cpu("b", 4, 4), 3)}, "b"},
		{[]Room{mem(cpu("a", 4, 4), 3), mem(cpu("b", 4, 4), 2)}, "a"},
		{[]Room{on(cpu("a", 4, 4), 2), on(cpu("b", 4, 4), 1)}, "b"},
		{[]Room{on(cpu("a", 4, 4), 1), on(cpu("b", 4, 4), 2)}, "a"},
		{[]Room{cpu("b", 4, 4), cpu("a", 4, 4)}, "a"},
		{[]Room{cpu("a", 4, 4), cpu("b", 4, 4)}, "a"},
		{[]Room{cpu("a", 4, 0.5), cpu("b", 400, 2)}, "b"},
	} {
		turn := inRoom(c.hosts...)
		host, why := turn.choose(l, turn.usable())
		assert.Equal(t, c.want, host, "%+v: %s", c.hosts, why)
	}
	turn := inRoom(cpu("a", 4, 4), cpu("b", 4, 4))
	var order []string
	for range 8 {
		host, _ := turn.choose(l, turn.usable())
		order = append(order, host)
	}
	assert.Equal(t, []string{"a", "b", "a", "b", "a", "b", "a", "b"}, order)
	first := cpu("a", 4, 4)
	turn = inRoom(first, on(mem(cpu("b", 4, 3), 7), 0)) // alike, once a node is on a
	order = nil
	for range 2 {
		host, _ := turn.choose(l, turn.usable())
		order = append(order, host)
	}
	assert.Equal(t, []string{"a", "b"}, order, "b has fewer nodes then")
	turn = inRoom(cpu("a", 4, 4), cpu("b", 4, 4))
	turn.choose(l, turn.usable())
	turn.choose(l, turn.usable())
	assert.Equal(t, []Hold{{Host: "a", Limits: pod.Resources{CPU: 1, Memory: 1 << 30}}, {Host: "b", Limits: pod.Resources{CPU: 1, Memory: 1 << 30}}}, turn.plan.Reserve[:2])
}

// A node makes room on its own host for one of other limits, of CPU as of memory.
func TestFitsInstead(t *testing.T) {
	s := newSim(t, 1, "a", "b")
	s.hosts["b"].refused = "cordoned"
	small, large := pod.Limits{CPU: 0.2, Memory: 200 << 20}, pod.Limits{CPU: 0.8, Memory: 824 << 20}
	s.pod.Spec.Limits = small
	s.pod.Revisions[0].Limits = small
	s.add(1, 1, "a")
	spec := s.pod.Spec.Clone()
	spec.Limits = large
	s.pod.Revise(spec, "", s.now)
	s.add(1, 2, "a")
	s.add(1, 2, "b")
	s.turn() // the ledger knows them
	for _, c := range []struct {
		gone string
		cpu  float64
		mib  int64
		want bool
	}{
		{"n1", 0.2, 200, true},
		{"n1", 0.3, 200, false},
		{"n1", 0.2, 300, false},
		{"n2", 0.3, 300, true},
		{"n3", 0.2, 200, false},
	} {
		turn := s.begun()
		limits := pod.Limits{CPU: c.cpu, Memory: c.mib << 20}
		assert.Equal(t, c.want, turn.fitsInstead(turn.pod.Node(c.gone), limits, turn.usable()), "%+v", c)
	}
}

func TestUsableHosts(t *testing.T) {
	s := newSim(t, 2, "a", "b", "c")
	s.hosts["b"].refused = "cordoned"
	hosts := func() (out []string) {
		turn := s.begun()
		for _, p := range turn.startable() {
			text := turn.room[p.at].Host
			if p.no != "" {
				text += " " + p.no
			}
			if p.held {
				text += " (held)"
			}
			out = append(out, text)
		}
		return out
	}
	assert.Equal(t, []string{"a", "b cordoned", "c"}, hosts())
	s.pod.Spec.Hosts = []string{"c", "b", "x"}
	assert.Equal(t, []string{"b cordoned", "c"}, hosts())
	s.pod.Spec.Hosts = nil

	// After a failed start a host gets none for a while, and then one at a time.
	s.mem.Starts = map[string]Retry{"a": {Failures: 2, Next: s.now.Add(time.Minute)}, "c": {Failures: 0, Fault: Fault{Code: FaultOther, Text: "x"}}}
	assert.Equal(t, []string{"a could not start the last one (held)", "b cordoned", "c"}, hosts())
	s.now = s.now.Add(time.Minute)
	assert.Equal(t, []string{"a", "b cordoned", "c"}, hosts())
	s.launch(1, "a", time.Second)
	assert.Equal(t, []string{"a is being tried with one node, as it could not start the last one (held)", "b cordoned", "c"}, hosts())
	s.launch(1, "c", time.Hour)
	assert.Equal(t, []string{"a is being tried with one node, as it could not start the last one (held)", "b cordoned", "c has a start that takes too long (held)"}, hosts())
	s.mem.Starts["b"] = Retry{Failures: 3, Next: s.now.Add(time.Hour)}
	assert.Equal(t, "b cordoned", hosts()[1], "it takes none anyway")
	s.mem.Starts = nil
	assert.Equal(t, []string{"a", "b cordoned", "c has a start that takes too long (held)"}, hosts())
}

// A node that takes the place of one that died goes to another host, if it fits
// there.
func TestNextNodeAvoidsTheHostOfTheLast(t *testing.T) {
	turn := inRoom(Room{Host: "a", Capacity: pod.Resources{CPU: 8, Memory: 8 << 30}}, Room{Host: "b", Capacity: pod.Resources{CPU: 1, Memory: 1 << 30}})
	small, large := pod.Limits{CPU: 1, Memory: 1 << 20}, pod.Limits{CPU: 2, Memory: 1 << 20}
	only := func(hosts []place) (names []string) {
		for _, h := range hosts {
			names = append(names, turn.room[h.at].Host)
		}
		return names
	}
	assert.Equal(t, []string{"b"}, only(turn.avoiding("a", small, turn.usable())))
	assert.Equal(t, []string{"a", "b"}, only(turn.avoiding("a", large, turn.usable())))
	assert.Equal(t, []string{"a"}, only(turn.avoiding("b", large, turn.usable())))
	assert.Equal(t, []string{"a", "b"}, only(turn.avoiding("c", small, turn.usable())))
}

// What starts now takes nobody's place while each host with room is held back, or
// a place waits for its time.
func TestStuck(t *testing.T) {
	s := newSim(t, 2, "a", "b")
	assert.False(t, s.begun().stuck())
	s.mem.Vacant = []Vacancy{{Deaths: 2, Due: s.now.Add(time.Second)}}
	assert.True(t, s.begun().stuck())
	s.mem.Vacant[0].Due = s.now
	assert.False(t, s.begun().stuck())
	s.mem.Vacant = nil
	s.mem.Starts = map[string]Retry{"a": {Failures: 1, Next: s.now.Add(time.Minute)}}
	assert.False(t, s.begun().stuck(), "b has room")
	s.hosts["b"].taken = pod.Resources{CPU: 1.5}
	assert.True(t, s.begun().stuck())
	s.hosts["a"].taken = s.hosts["b"].taken
	s.mem.Starts = nil
	assert.False(t, s.begun().stuck(), "there is no room at all: that is told as such")
}

// What the pod holds on its hosts: all but what is known to be gone.
func TestHolds(t *testing.T) {
	s := newSim(t, 9, "a", "b")
	s.add(3, 1, "a")
	s.launch(1, "b", time.Second)
	s.set("n2", func(n *state.Node) { n.Drain(s.now, "") })
	s.set("n3", func(n *state.Node) { n.Fail("") })
	s.pod.Register("", s.now)
	holds := func() (out []string) {
		for _, h := range s.begun().holds() {
			assert.Equal(t, pod.Resources{CPU: 1, Memory: 1 << 30}, h.Limits)
			out = append(out, h.Node+" on "+h.Host)
		}
		return out
	}
	assert.Equal(t, []string{"n1 on a", "n2 on a", "n3 on a", "n4 on b"}, holds())
	s.mem.Nodes["n3"].Stop.Done = true
	s.pod.Register("nowhere", s.now).Fail("it was never placed")
	assert.Equal(t, []string{"n1 on a", "n2 on a", "n4 on b"}, holds())
}
