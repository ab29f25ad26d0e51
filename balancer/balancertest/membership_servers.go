package balancertest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
)

func applyExact(t *testing.T, b *bed) {
	b.front("web", nil)
	assert.Empty(t, b.stats("web").Servers)
	for i, want := range [][]balancer.Server{
		{srv("a", 1)},
		{srv("a", 1)},
		{srv("c", 3), srv("a", 1), srv("b", 2)},
		{srv("b", 2), srv("c", 3)},
		{srv("d", 4), srv("e", 5)},
		{},
		nil,
		{srv("node-1.web_X", 6)},
	} {
		b.apply("web", want...)
		sorted := append([]balancer.Server{}, want...)
		slices.SortFunc(sorted, func(x, y balancer.Server) int { return strings.Compare(x.Name, y.Name) })
		assert.Equal(t, sorted, shape(b.stats("web")), "step %d", i)
	}
}

func applyDefaults(t *testing.T, b *bed) {
	b.front("web", nil)
	b.apply("web", balancer.Server{Name: "a", Addr: addr(1)})
	assert.Equal(t, []balancer.Server{srv("a", 1)}, shape(b.stats("web")))
}

func applyStateWeight(t *testing.T, b *bed) {
	b.front("web", nil)
	a, c := srv("a", 1), srv("c", 3)
	for i, change := range []func(){
		func() {},
		func() { a.State = balancer.Drain },
		func() { a.Weight = 1 },
		func() { a.State = balancer.Ready },
		func() { c.Weight = balancer.MaxWeight; a.State = balancer.Drain },
		func() { c.State = balancer.Drain },
		func() { a.State, c.State = balancer.Ready, balancer.Ready; a.Weight = 50 },
	} {
		change()
		b.apply("web", c, a)
		assert.Equal(t, []balancer.Server{a, c}, shape(b.stats("web")), "step %d", i)
	}
	// One that is new may drain from the start.
	d := srv("d", 4)
	d.State = balancer.Drain
	b.apply("web", a, d)
	assert.Equal(t, []balancer.Server{a, d}, shape(b.stats("web")))
}

func applyAddress(t *testing.T, b *bed) {
	b.front("web", nil)
	b.apply("web", srv("a", 1), srv("b", 2))
	b.apply("web", srv("a", 7), srv("b", 2))
	assert.Equal(t, []balancer.Server{srv("a", 7), srv("b", 2)}, shape(b.stats("web")))
	// Two names may share an address, and swap theirs.
	b.apply("web", srv("a", 2), srv("b", 7))
	assert.Equal(t, []balancer.Server{srv("a", 2), srv("b", 7)}, shape(b.stats("web")))
	b.apply("web", srv("a", 2), srv("b", 2))
	assert.Equal(t, []balancer.Server{srv("a", 2), srv("b", 2)}, shape(b.stats("web")))
	v6 := balancer.Server{Name: "v6", Addr: "[::1]:8080", Weight: 100, State: balancer.Ready}
	b.apply("web", v6)
	assert.Equal(t, []balancer.Server{v6}, shape(b.stats("web")))
}

func applyNoFront(t *testing.T, b *bed) {
	err := b.b.Apply(b.ctx(), "web", []balancer.Server{srv("a", 1)})
	require.ErrorIs(t, err, balancer.ErrNoFront)
	assert.Contains(t, err.Error(), "web", "the error names the front")
	require.ErrorIs(t, b.b.Apply(b.ctx(), "web", nil), balancer.ErrNoFront)
	require.ErrorIs(t, b.b.Apply(b.ctx(), "no\nname; stop", nil), balancer.ErrNoFront)
}

func faultyServers(t *testing.T, b *bed) {
	b.front("web", nil)
	before := []balancer.Server{srv("a", 1)}
	b.apply("web", before...)
	for name, c := range map[string]struct {
		want []balancer.Server
		path string
	}{
		"no name":          {[]balancer.Server{{Addr: addr(1)}}, "servers[0].name"},
		"newline":          {[]balancer.Server{{Name: "a\nshutdown sessions", Addr: addr(1)}}, "servers[0].name"},
		"trailing newline": {[]balancer.Server{{Name: "a\n", Addr: addr(1)}}, "servers[0].name"},
		"semicolon":        {[]balancer.Server{{Name: "a;disable frontend web", Addr: addr(1)}}, "servers[0].name"},
		"slash":            {[]balancer.Server{{Name: "../a", Addr: addr(1)}}, "servers[0].name"},
		"space":            {[]balancer.Server{{Name: "a b", Addr: addr(1)}}, "servers[0].name"},
		"long name":        {[]balancer.Server{{Name: strings.Repeat("a", 101), Addr: addr(1)}}, "servers[0].name"},
		"host name":        {[]balancer.Server{{Name: "a", Addr: "localhost:80"}}, "servers[0].addr"},
		"no port":          {[]balancer.Server{{Name: "a", Addr: "127.0.0.1"}}, "servers[0].addr"},
		"port 0":           {[]balancer.Server{{Name: "a", Addr: "127.0.0.1:0"}}, "servers[0].addr"},
		"hostile address":  {[]balancer.Server{{Name: "a", Addr: "127.0.0.1:80 disabled"}}, "servers[0].addr"},
		"weight":           {[]balancer.Server{{Name: "a", Addr: addr(1), Weight: 257}}, "servers[0].weight"},
		"negative weight":  {[]balancer.Server{{Name: "a", Addr: addr(1), Weight: -1}}, "servers[0].weight"},
		"state":            {[]balancer.Server{{Name: "a", Addr: addr(1), State: "maint"}}, "servers[0].state"},
		"second":           {[]balancer.Server{srv("a", 1), {Name: "b", Addr: "x"}}, "servers[1].addr"},
		"twice":            {[]balancer.Server{srv("a", 1), srv("a", 2)}, "servers[1].name"},
	} {
		requireFault(t, b.b.Apply(b.ctx(), "web", c.want), c.path, name)
	}
	assert.Equal(t, before, shape(b.stats("web")))
}

func applyMany(t *testing.T, b *bed) {
	b.front("web", nil)
	var want []balancer.Server
	for i := range 100 {
		want = append(want, srv(fmt.Sprintf("n-%03d", i), i))
	}
	b.apply("web", want...)
	assert.Equal(t, want, shape(b.stats("web")))
	b.apply("web", want[50:]...)
	assert.Equal(t, want[50:], shape(b.stats("web")))
	b.apply("web")
	assert.Empty(t, b.stats("web").Servers)
}

func frontsApart(t *testing.T, b *bed) {
	b.front("one", nil)
	b.front("two", nil)
	b.apply("one", srv("a", 1))
	b.apply("two", srv("a", 2), srv("b", 3))
	assert.Equal(t, []balancer.Server{srv("a", 1)}, shape(b.stats("one")))
	assert.Equal(t, []balancer.Server{srv("a", 2), srv("b", 3)}, shape(b.stats("two")))
	require.NoError(t, b.b.RemoveFront(b.ctx(), "one"))
	assert.Equal(t, []balancer.Server{srv("a", 2), srv("b", 3)}, shape(b.stats("two")))
	b.front("three", nil)
	assert.Equal(t, []balancer.Server{srv("a", 2), srv("b", 3)}, shape(b.stats("two")))
}

func observeSorted(t *testing.T, b *bed) {
	for _, n := range []string{"m", "z-1", "a", "a0", "a-0"} {
		b.front(n, nil)
	}
	b.apply("m", srv("b", 1), srv("C", 2), srv("a.1", 3), srv("a-1", 4), srv("a", 5))
	st := b.observe()
	var fronts []string
	for _, f := range st.Fronts {
		fronts = append(fronts, f.Name)
		assert.NotEmpty(t, f.Listen)
		assert.Zero(t, f.InFlight)
		assert.Zero(t, f.Waiting)
		assert.Zero(t, f.Requests)
		assert.Zero(t, f.Errors)
		assert.Zero(t, f.Latency.Count)
	}
	assert.Equal(t, []string{"a", "a-0", "a0", "m", "z-1"}, fronts)
	assert.Equal(t, []string{"C", "a", "a-1", "a.1", "b"}, names(b.stats("m")), "by bytes")
	for _, s := range b.stats("m").Servers {
		assert.Zero(t, s.InFlight)
		assert.Zero(t, s.Requests)
		assert.Zero(t, s.Errors)
	}
}

func closeTwice(t *testing.T, b *bed) {
	b.front("web", nil)
	require.NoError(t, b.b.Close())
	require.NoError(t, b.b.Close())
	require.ErrorIs(t, b.b.SetFront(b.ctx(), balancer.Front{Name: "web", Listen: FreeAddr(t)}), balancer.ErrClosed)
	require.ErrorIs(t, b.b.RemoveFront(b.ctx(), "web"), balancer.ErrClosed)
	require.ErrorIs(t, b.b.Apply(b.ctx(), "web", nil), balancer.ErrClosed)
	_, err := b.b.Observe(b.ctx())
	require.ErrorIs(t, err, balancer.ErrClosed)
}

func contextEnded(t *testing.T, b *bed) {
	f := b.front("web", nil)
	b.apply("web", srv("a", 1))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	start := time.Now()
	changed := f
	changed.MaxConn = 3
	for _, err := range []error{
		b.b.SetFront(ctx, changed),
		b.b.Apply(ctx, "web", []balancer.Server{srv("b", 2)}),
		b.b.RemoveFront(ctx, "web"),
	} {
		require.ErrorIs(t, err, context.Canceled)
	}
	_, err := b.b.Observe(ctx)
	require.ErrorIs(t, err, context.Canceled)
	assert.Less(t, time.Since(start), 2*time.Second)
	assert.Equal(t, []balancer.Server{srv("a", 1)}, shape(b.stats("web")), "nothing was done")
}

func concurrent(t *testing.T, b *bed) {
	const fronts, rounds = 3, 5
	addrs := make([]string, fronts)
	for i := range addrs {
		addrs[i] = FreeAddr(t)
	}
	var wg sync.WaitGroup
	errs := make(chan error, 1000)
	for i := range fronts {
		name := fmt.Sprintf("web-%d", i)
		wg.Go(func() {
			for r := range rounds {
				errs <- b.b.SetFront(b.ctx(), balancer.Front{Name: name, Listen: addrs[i], MaxConn: r})
				errs <- b.b.Apply(b.ctx(), name, []balancer.Server{srv("a", r), srv("b", 1)})
				if r == 2 {
					errs <- b.b.RemoveFront(b.ctx(), name)
				}
			}
		})
		wg.Go(func() {
			for range rounds {
				_, err := b.b.Observe(b.ctx())
				errs <- err
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	for i := range fronts {
		assert.Equal(t, []balancer.Server{srv("a", rounds-1), srv("b", 1)}, shape(b.stats(fmt.Sprintf("web-%d", i))))
	}
}

func reopen(t *testing.T, b *bed) {
	one := b.front("one", nil)
	two := b.front("two", nil)
	want := []balancer.Server{srv("a", 1), srv("b", 2)}
	want[0].Weight, want[1].State = 9, balancer.Drain
	b.apply("one", want...)
	require.NoError(t, b.b.Close())
	if b.h.Reopen == nil {
		// What lived in the value is gone with it, its addresses too.
		again := open(t, b.h)
		assert.Empty(t, again.observe().Fronts)
		again.setFront(one)
		return
	}
	next := b.h.Reopen(t, b.b)
	t.Cleanup(func() { require.NoError(t, next.Close()) })
	again := &bed{t: t, h: b.h, b: next}
	assert.Equal(t, one.Listen, again.stats("one").Listen)
	assert.Equal(t, want, shape(again.stats("one")))
	assert.Equal(t, two.Listen, again.stats("two").Listen)
	// The same calls again change nothing, and others do.
	again.setFront(one)
	again.apply("one", want...)
	assert.Equal(t, want, shape(again.stats("one")))
	again.apply("one", srv("c", 3))
	assert.Equal(t, []balancer.Server{srv("c", 3)}, shape(again.stats("one")))
	require.NoError(t, next.RemoveFront(again.ctx(), "two"))
	assert.Len(t, again.observe().Fronts, 1)
}
