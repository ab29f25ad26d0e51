package balancertest

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
)

// Run checks the contract of balancer.Balancer as far as it concerns which
// fronts and servers there are. No request is sent.
func Run(t *testing.T, h Harness) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, b *bed)
	}{
		{"SetFront/is idempotent", setFrontTwice},
		{"SetFront/changes a front and keeps its servers", setFrontChanges},
		{"SetFront/moves a front to another address", setFrontMoves},
		{"SetFront/refuses an address of another front", addressOfAnotherFront},
		{"SetFront/refuses an address of another program", addressOfAnotherProgram},
		{"SetFront/refuses faulty fronts", faultyFronts},
		{"RemoveFront/forgets the servers and is idempotent", removeFront},
		{"Apply/makes the servers be exactly those", applyExact},
		{"Apply/fills in defaults", applyDefaults},
		{"Apply/changes state and weight", applyStateWeight},
		{"Apply/replaces a server whose address changed", applyAddress},
		{"Apply/without the front", applyNoFront},
		{"Apply/refuses faulty servers and changes nothing", faultyServers},
		{"Apply/many servers", applyMany},
		{"Apply/keeps fronts apart", frontsApart},
		{"Observe/is sorted and complete", observeSorted},
		{"Close/twice, and then nothing works", closeTwice},
		{"Context/that ended is honoured", contextEnded},
		{"Concurrency/all methods at the same time", concurrent},
		{"Reopen/finds fronts and servers again", reopen},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t, h)) })
	}
}

func addr(i int) string { return fmt.Sprintf("127.0.0.1:%d", 9+i) } // nothing need listen there

func srv(name string, i int) balancer.Server {
	return balancer.Server{Name: name, Addr: addr(i), Weight: 100, State: balancer.Ready}
}

// shape is a server without its figures, for comparing.
func shape(f balancer.FrontStats) []balancer.Server {
	out := []balancer.Server{}
	for _, s := range f.Servers {
		out = append(out, balancer.Server{Name: s.Name, Addr: s.Addr, Weight: s.Weight, State: s.State})
	}
	return out
}

func names(f balancer.FrontStats) []string {
	out := []string{}
	for _, s := range f.Servers {
		out = append(out, s.Name)
	}
	return out
}

func setFrontTwice(t *testing.T, b *bed) {
	assert.Empty(t, b.observe().Fronts, "a new balancer has no fronts")
	f := b.front("web", nil)
	b.apply("web", srv("a", 1))
	b.setFront(f)
	b.setFront(f.WithDefaults())
	st := b.stats("web")
	assert.Equal(t, f.Listen, st.Listen)
	assert.Equal(t, []balancer.Server{srv("a", 1)}, shape(st))
	assert.Len(t, b.observe().Fronts, 1)
}

func setFrontChanges(t *testing.T, b *bed) {
	f := b.front("web", nil)
	want := []balancer.Server{srv("a", 1), srv("b", 2)}
	want[0].Weight = 7
	want[1].State = balancer.Drain
	b.apply("web", want...)
	for _, alg := range []balancer.Algorithm{balancer.RoundRobin, balancer.Random, balancer.First, balancer.Source, balancer.LeastConn} {
		f.Algorithm = alg
		f.MaxConn = 10
		f.Timeouts.Server = 3 * time.Second
		f.Retries = -1
		f.RetryNonIdempotent = !f.RetryNonIdempotent
		f.CheckPath = "/healthz"
		b.setFront(f)
		assert.Equal(t, want, shape(b.stats("web")), "after the change to %s", alg)
	}
}

func setFrontMoves(t *testing.T, b *bed) {
	f := b.front("web", nil)
	b.apply("web", srv("a", 1))
	old := f.Listen
	f.Listen = FreeAddr(t)
	b.setFront(f)
	st := b.stats("web")
	assert.Equal(t, f.Listen, st.Listen)
	assert.Equal(t, []balancer.Server{srv("a", 1)}, shape(st))
	// The old address is free again.
	b.setFront(balancer.Front{Name: "other", Listen: old})
	assert.Equal(t, old, b.stats("other").Listen)
}

func addressOfAnotherFront(t *testing.T, b *bed) {
	one := b.front("one", nil)
	err := b.b.SetFront(b.ctx(), balancer.Front{Name: "two", Listen: one.Listen})
	require.ErrorIs(t, err, balancer.ErrAddressInUse)
	assert.Contains(t, err.Error(), "two", "the error names the front")
	_, ok := b.observe().Front("two")
	assert.False(t, ok, "a front that was refused is not there")

	// A front that exists stays as it was.
	two := b.front("two", nil)
	b.apply("two", srv("a", 1))
	err = b.b.SetFront(b.ctx(), balancer.Front{Name: "two", Listen: one.Listen})
	require.ErrorIs(t, err, balancer.ErrAddressInUse)
	assert.Equal(t, two.Listen, b.stats("two").Listen)
	assert.Equal(t, []balancer.Server{srv("a", 1)}, shape(b.stats("two")))
}

func addressOfAnotherProgram(t *testing.T, b *bed) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	taken := l.Addr().String()
	if fake, ok := b.b.(*Fake); ok {
		fake.Occupy(taken, true)
	} else if !b.h.Listens {
		// The address is only a name to it: nobody can hold it.
		b.setFront(balancer.Front{Name: "web", Listen: taken})
		assert.Equal(t, taken, b.stats("web").Listen)
		return
	}
	err = b.b.SetFront(b.ctx(), balancer.Front{Name: "web", Listen: taken})
	require.ErrorIs(t, err, balancer.ErrAddressInUse)
	assert.Empty(t, b.observe().Fronts)

	f := b.front("web", nil)
	err = b.b.SetFront(b.ctx(), balancer.Front{Name: "web", Listen: taken})
	require.ErrorIs(t, err, balancer.ErrAddressInUse)
	assert.Equal(t, f.Listen, b.stats("web").Listen)
	if b.h.Listens {
		c, err := net.DialTimeout("tcp", f.Listen, time.Second)
		require.NoError(t, err, "the front still takes connections where it was")
		_ = c.Close()
	}
}

func faultyFronts(t *testing.T, b *bed) {
	good := balancer.Front{Name: "web", Listen: FreeAddr(t)}
	for name, c := range map[string]struct {
		change func(*balancer.Front)
		path   string
	}{
		"no name":          {func(f *balancer.Front) { f.Name = "" }, "name"},
		"capital":          {func(f *balancer.Front) { f.Name = "Web" }, "name"},
		"newline":          {func(f *balancer.Front) { f.Name = "web\nshutdown" }, "name"},
		"trailing newline": {func(f *balancer.Front) { f.Name = "web\n" }, "name"},
		"semicolon":        {func(f *balancer.Front) { f.Name = "web;stop" }, "name"},
		"slash":            {func(f *balancer.Front) { f.Name = "a/b" }, "name"},
		"long name":        {func(f *balancer.Front) { f.Name = strings.Repeat("a", 41) }, "name"},
		"no address":       {func(f *balancer.Front) { f.Listen = "" }, "listen"},
		"host name":        {func(f *balancer.Front) { f.Listen = "localhost:80" }, "listen"},
		"port 0":           {func(f *balancer.Front) { f.Listen = "127.0.0.1:0" }, "listen"},
		"hostile address":  {func(f *balancer.Front) { f.Listen = "127.0.0.1:80\n  user root" }, "listen"},
		"algorithm":        {func(f *balancer.Front) { f.Algorithm = "static-rr" }, "algorithm"},
		"negative maximum": {func(f *balancer.Front) { f.MaxConn = -1 }, "max_conn"},
		"first without":    {func(f *balancer.Front) { f.Algorithm = balancer.First }, "max_conn"},
		"time-out":         {func(f *balancer.Front) { f.Timeouts.Queue = -time.Second }, "timeouts.queue"},
		"retries":          {func(f *balancer.Front) { f.Retries = 101 }, "retries"},
		"check path":       {func(f *balancer.Front) { f.CheckPath = "/x\nserver evil 1.2.3.4:80" }, "check_path"},
		"check path space": {func(f *balancer.Front) { f.CheckPath = "/x HTTP/1.0" }, "check_path"},
	} {
		f := good
		c.change(&f)
		requireFault(t, b.b.SetFront(b.ctx(), f), c.path, name)
	}
	assert.Empty(t, b.observe().Fronts)
	b.setFront(good)
	bad := good
	bad.MaxConn = -1
	bad.Algorithm = "none"
	err := b.b.SetFront(b.ctx(), bad)
	requireFault(t, err, "max_conn", "both")
	requireFault(t, err, "algorithm", "both")
	assert.Equal(t, good.Listen, b.stats("web").Listen)
}

func requireFault(t *testing.T, err error, path, what string) {
	t.Helper()
	var faults balancer.Faults
	require.ErrorAs(t, err, &faults, "%s: refused with Faults", what)
	for _, f := range faults {
		if f.Path == path {
			assert.NotEmpty(t, f.Problem, what)
			assert.NotEmpty(t, f.Allowed, what)
			return
		}
	}
	require.Failf(t, "fault missing", "%s: no fault at %q in %v", what, path, faults)
}

func removeFront(t *testing.T, b *bed) {
	require.NoError(t, b.b.RemoveFront(b.ctx(), "never"), "a front that never was")
	f := b.front("web", nil)
	b.apply("web", srv("a", 1))
	require.NoError(t, b.b.RemoveFront(b.ctx(), "web"))
	require.NoError(t, b.b.RemoveFront(b.ctx(), "web"))
	assert.Empty(t, b.observe().Fronts)
	require.ErrorIs(t, b.b.Apply(b.ctx(), "web", []balancer.Server{srv("a", 1)}), balancer.ErrNoFront)
	b.setFront(f)
	assert.Empty(t, b.stats("web").Servers, "a new front of the same name has no servers")
}
