//go:build e2e

package e2e

import (
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/internal/openloop"
)

// A million requests while nothing stays as it is: every few seconds the pod
// grows or shrinks, every minute all of its nodes are replaced, and every minute
// the manager is killed. None fails.
func TestFaultMillionRequests(t *testing.T) {
	st := onDocker(t)
	k := newKilling(t, st, newFault(t, "churn, docker"))
	k.binary = "" // the one that users have
	k.run()
	k.populate(1)
	var (
		requests = rounds(2_500, 1_000_000)
		rate     = float64(rounds(100, 1250))
		scaling  = 3 * time.Second
		rolling  = time.Duration(rounds(5, 60)) * time.Second
		killing  = time.Duration(rounds(9, 60)) * time.Second
	)
	done := make(chan struct{})
	wait := k.f.load(k.web, openloop.Config{
		URL: "/", Method: http.MethodGet, Rate: rate, Requests: requests,
		Progress: func(p openloop.Progress) {
			if p.Done {
				close(done)
			}
		},
	})
	begun := time.Now()
	scales, rollouts, kills := 0, 0, 0
	due := func(n int, every time.Duration) bool { return time.Since(begun) > time.Duration(n+1)*every }
	for over := false; !over; {
		switch {
		case due(kills, killing) && kills < rounds(1, 1000):
			kills++
			// In the middle of something: a scale event has just been ordered.
			s := k.send(t.Context(), k.scale(3+(scales+1)%3))
			k.inject(func() { k.signal(syscall.SIGKILL) })
			died := time.Now()
			k.run()
			k.f.recovered(time.Since(died))
			assert.Contains(t, s.legal(), k.settings(), "what was answered is there")
			k.model = k.settings()
		case due(rollouts, rolling) && rollouts < rounds(1, 1000):
			rollouts++
			c := k.change([]string{"rolling", "blue-green"}[rollouts%2])
			require.NoError(t, c.do(t.Context(), k.api))
			k.model = c.after
		case due(scales, scaling):
			scales++
			c := k.scale(3 + scales%3)
			require.NoError(t, c.do(t.Context(), k.api))
			k.model = c.after
		}
		select {
		case <-done:
			over = true
		case <-time.After(20 * time.Millisecond):
		}
	}
	r := wait()
	wrong := k.settle(k.model)
	k.f.leaked(len(wrong))
	assert.Empty(t, wrong)
	t.Logf("figure: %d requests in %s with %d scale events, %d rollouts and %d kills of the manager: %d failed, %.2f per million",
		r.Sent, r.Took.Round(time.Second), scales, rollouts, kills, r.Sent-r.OK, float64(r.Sent-r.OK)/float64(r.Sent)*1e6)
	assert.Equal(t, requests, r.Sent)
	assert.Equal(t, r.Sent, r.OK, "%v %v %v", r.Codes, r.Errors, firstOf(r.Failures, 5))
	assert.Positive(t, min(scales, rollouts, kills), "all of the churn")
}
