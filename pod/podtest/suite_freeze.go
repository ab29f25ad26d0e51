package podtest

import (
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/pod"
)

func testFreeze(s *suite) {
	if s.h.Freeze == nil {
		s.Log("nodes of this runtime cannot be frozen")
		return
	}
	n := s.serving("n1", "serve")
	w := s.watch()
	if w != nil {
		defer w.cancel()
	}
	for range 2 {
		for _, c := range []struct {
			on    bool
			phase pod.Phase
			event pod.EventKind
		}{{true, pod.PhaseFrozen, pod.EventFrozen}, {false, pod.PhaseRunning, pod.EventThawed}} {
			s.h.Freeze(s.T, n, c.on)
			if w != nil {
				w.next(pod.Event{Node: n.ID, Kind: c.event})
			}
			seen := s.find(s.rt, n.ID)
			require.NotNil(s, seen)
			assert.Equal(s, c.phase, seen.Phase, "right after the event")
			assert.Equal(s, n.Handle, seen.Handle)
			assert.Equal(s, n.Endpoints, seen.Endpoints)
			assert.True(s, n.StartedAt.Equal(seen.StartedAt))
			assert.Nil(s, seen.Exit)
			again := s.start(s.rt, s.request("n1", "serve"))
			assert.Equal(s, n.Handle, again.Handle, "a start leaves it as it is")
			assert.Equal(s, c.phase, again.Phase)
		}
		s.await(n)
	}
	s.h.Freeze(s.T, n, true)
	lines, err := s.rt.Stop(s.Context(), n.ID, time.Second)
	require.NoError(s, err)
	assert.Equal(s, "serving", lines[0])
	assert.Nil(s, s.find(s.rt, n.ID), "a frozen node can be stopped")
}
