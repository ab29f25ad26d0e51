package balancertest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/balancertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFakeConforms(t *testing.T) {
	balancertest.Run(t, balancertest.Harness{
		Open: func(*testing.T) balancer.Balancer { return balancertest.NewFake() },
		Reopen: func(_ *testing.T, closed balancer.Balancer) balancer.Balancer {
			return closed.(*balancertest.Fake).Reopen()
		},
	})
}

func newFake(t *testing.T) *balancertest.Fake {
	f := balancertest.NewFake()
	require.NoError(t, f.SetFront(t.Context(), balancer.Front{Name: "web", Listen: "127.0.0.1:5000"}))
	require.NoError(t, f.Apply(t.Context(), "web", []balancer.Server{
		{Name: "a", Addr: "127.0.0.1:1"}, {Name: "b", Addr: "127.0.0.1:2"},
	}))
	return f
}

func TestFakeFails(t *testing.T) {
	f := newFake(t)
	boom := errors.New("boom")
	f.Fail(balancertest.Apply, boom)
	require.ErrorIs(t, f.Apply(t.Context(), "web", nil), boom)
	assert.Len(t, f.Servers("web"), 2, "nothing was done")
	f.FailNext(balancertest.Apply, nil, balancer.ErrUnavailable)
	require.NoError(t, f.Apply(t.Context(), "web", nil))
	require.ErrorIs(t, f.Apply(t.Context(), "web", nil), balancer.ErrUnavailable)
	require.ErrorIs(t, f.Apply(t.Context(), "web", nil), boom)
	f.Fail(balancertest.Apply, nil)
	require.NoError(t, f.Apply(t.Context(), "web", nil))
	assert.Equal(t, 6, f.Count(balancertest.Apply))
	assert.Len(t, f.History("web"), 3, "only those that succeeded")
}

func TestFakeCloseFails(t *testing.T) {
	f := newFake(t)
	boom := errors.New("boom")
	f.FailNext(balancertest.Close, boom)
	require.ErrorIs(t, f.Close(), boom)
	require.NoError(t, f.Close())
	assert.Equal(t, 2, f.Count(balancertest.Close))
}

func TestFakeDelaysInsideABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.Delay(balancertest.Observe, time.Hour)
		start := time.Now()
		_, err := f.Observe(t.Context())
		require.NoError(t, err)
		assert.Equal(t, time.Hour, time.Since(start))

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		_, err = f.Observe(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Second, time.Since(start))

		calls := f.Calls()
		last := calls[len(calls)-1]
		assert.Equal(t, balancertest.Observe, last.Method)
		assert.Equal(t, start, last.At)
		assert.ErrorIs(t, last.Err, context.DeadlineExceeded)
	})
}

func TestFakeFigures(t *testing.T) {
	f := newFake(t)
	f.SetInFlight("web", "a", 3)
	f.SetUp("web", "b", false)
	f.AddRequests("web", "a", 10, 1)
	f.AddRequests("web", "", 2, 2)
	f.SetWaiting("web", 4)
	f.SetLatencies("web", 100, 20*time.Millisecond)
	st, err := f.Observe(t.Context())
	require.NoError(t, err)
	assert.Equal(t, balancer.Stats{Fronts: []balancer.FrontStats{{
		Name: "web", Listen: "127.0.0.1:5000", Requests: 12, Errors: 3, InFlight: 7, Waiting: 4,
		Latency: balancer.Latency{Count: 100, P50: 20 * time.Millisecond, P95: 20 * time.Millisecond, P99: 20 * time.Millisecond},
		Servers: []balancer.ServerStats{
			{Name: "a", Addr: "127.0.0.1:1", State: balancer.Ready, Weight: 100, Up: true, InFlight: 3, Requests: 10, Errors: 1},
			{Name: "b", Addr: "127.0.0.1:2", State: balancer.Ready, Weight: 100},
		},
	}}}, st)
}

func TestFakeRequests(t *testing.T) {
	f := newFake(t)
	a, endA, ok := f.Begin("web")
	require.True(t, ok)
	b, endB, ok := f.Begin("web")
	require.True(t, ok)
	assert.Equal(t, []string{"a", "b"}, []string{a, b})

	drain := []balancer.Server{{Name: "a", Addr: "127.0.0.1:1", State: balancer.Drain}}
	require.NoError(t, f.Apply(t.Context(), "web", drain))
	assert.Equal(t, 1, f.Cut(), "b was removed with a request in flight")
	endB(false)
	_, _, ok = f.Begin("web")
	assert.False(t, ok, "a drains")
	endA(true)
	st, err := f.Observe(t.Context())
	require.NoError(t, err)
	web, _ := st.Front("web")
	assert.Equal(t, uint64(3), web.Requests)
	assert.Equal(t, uint64(3), web.Errors, "the one cut, the one refused, the one failed")
	assert.Zero(t, web.InFlight)
	require.NoError(t, f.Apply(t.Context(), "web", nil))
	assert.Equal(t, 1, f.Cut())
}

func TestFakeReopened(t *testing.T) {
	f := newFake(t)
	f.SetInFlight("web", "a", 2)
	f.AddRequests("web", "a", 5, 0)
	again := f.Reopen()
	st, err := again.Observe(t.Context())
	require.NoError(t, err)
	web, ok := st.Front("web")
	require.True(t, ok)
	assert.Equal(t, 2, web.InFlight)
	assert.Zero(t, web.Requests, "counting began anew")
	require.ErrorIs(t, f.Apply(t.Context(), "web", nil), balancer.ErrClosed)
}

func TestFreeAddr(t *testing.T) {
	_, err := balancer.ParseAddr(balancertest.FreeAddr(t))
	require.NoError(t, err)
}
