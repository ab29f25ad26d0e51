package balancertest

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/elastipod/elastipod/balancer"
)

// Fail makes every call of m return err, wrapped, and do nothing else, until
// Fail(m, nil).
func (f *Fake) Fail(m Method, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail[m] = err
}

// FailNext makes the next calls of m return errs in turn, before what Fail
// says holds again. A nil among them lets its call succeed.
func (f *Fake) FailNext(m Method, errs ...error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next[m] = append(f.next[m], errs...)
}

// Delay makes every call of m take d before it does anything, or until its
// context ends, which it then returns as its error.
func (f *Fake) Delay(m Method, d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.delay[m] = d
}

// Occupy makes another program listen on addr, or go away again.
func (f *Fake) Occupy(addr string, yes bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.world.occupied[addr] = yes
}

// SetInFlight sets how many requests the server has.
func (f *Fake) SetInFlight(front, server string, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.server(front, server).inFlight = n
}

// SetUp sets what the balancer's own checks say of the server.
func (f *Fake) SetUp(front, server string, up bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.server(front, server).down = !up
}

// AddRequests adds complete requests to the counters of the server and of its
// front. With an empty server they count for the front only, as those do that
// no server got.
func (f *Fake) AddRequests(front, server string, requests, errors uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fr := f.mustFront(front)
	fr.requests += requests
	fr.errors += errors
	if server != "" {
		s := f.server(front, server)
		s.requests += requests
		s.errors += errors
	}
}

// SetWaiting sets how many requests wait at the front for a server.
func (f *Fake) SetWaiting(front string, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mustFront(front).waiting = n
}

// SetProblems sets what is wrong with the balancer itself.
func (f *Fake) SetProblems(sentences ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.problems = sentences
}

// Happen makes an incident of the balancer itself.
func (f *Fake) Happen(message string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.incidents = append(f.incidents, balancer.Incident{At: time.Now(), Message: message})
	if over := len(f.incidents) - balancer.MaxIncidents; over > 0 {
		f.incidents = f.incidents[over:]
	}
}

// SetLatencies sets the front's quantiles from a count and one duration that
// all requests took.
func (f *Fake) SetLatencies(front string, count uint64, each time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mustFront(front).latency = balancer.Latency{Count: count, P50: each, P95: each, P99: each}
}

// Begin takes a request on the front and gives it to the ready server that is up with
// the fewest in flight, the first by name among equals. End it with end, once;
// failed counts it as an error. Where there is no such server, ok is false, and
// the request was counted as an error.
func (f *Fake) Begin(front string) (server string, end func(failed bool), ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fr := f.mustFront(front)
	fr.requests++
	var best *fakeServer
	for _, name := range slices.Sorted(maps.Keys(fr.servers)) {
		s := fr.servers[name]
		if s.server.State == balancer.Ready && !s.down && (best == nil || s.inFlight < best.inFlight) {
			best = s
		}
	}
	if best == nil {
		fr.errors++
		return "", func(bool) {}, false
	}
	best.requests++
	best.inFlight++
	return best.server.Name, func(failed bool) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if fr.servers[best.server.Name] != best {
			return // it was cut, and counted then
		}
		best.inFlight--
		if failed {
			best.errors++
			fr.errors++
		}
	}, true
}

// Cut is how many requests were in flight on servers and fronts when they were
// removed or replaced. A caller that drains first keeps it at 0.
func (f *Fake) Cut() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.world.cut
}

// Front returns the front as it is, defaults filled in.
func (f *Fake) Front(name string) (balancer.Front, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fr := f.world.fronts[name]
	if fr == nil {
		return balancer.Front{}, false
	}
	return fr.front, true
}

// Fronts returns the names of all fronts, sorted.
func (f *Fake) Fronts() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.world.fronts))
}

// Servers returns the servers of the front, by name, defaults filled in.
func (f *Fake) Servers(front string) []balancer.Server {
	f.mu.Lock()
	defer f.mu.Unlock()
	fr := f.world.fronts[front]
	if fr == nil {
		return nil
	}
	var out []balancer.Server
	for _, name := range slices.Sorted(maps.Keys(fr.servers)) {
		out = append(out, fr.servers[name].server)
	}
	return out
}

// Calls returns all calls so far, in the order in which they returned.
func (f *Fake) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// Count is how many calls of m there were, those that failed included.
func (f *Fake) Count(m Method) int {
	n := 0
	for _, c := range f.Calls() {
		if c.Method == m {
			n++
		}
	}
	return n
}

// History returns what Apply was given for the front, call by call, where it
// succeeded.
func (f *Fake) History(front string) [][]balancer.Server {
	var out [][]balancer.Server
	for _, c := range f.Calls() {
		if c.Method == Apply && c.Front == front && c.Err == nil {
			out = append(out, c.Want)
		}
	}
	return out
}

func (f *Fake) mustFront(name string) *fakeFront {
	fr := f.world.fronts[name]
	if fr == nil {
		panic(fmt.Sprintf("balancertest: the Fake has no front %q", name))
	}
	return fr
}

func (f *Fake) server(front, server string) *fakeServer {
	s := f.mustFront(front).servers[server]
	if s == nil {
		panic(fmt.Sprintf("balancertest: the Fake has no server %q in front %q", server, front))
	}
	return s
}
