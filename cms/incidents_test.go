package cms_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/balancertest"
	"github.com/elastipod/elastipod/cms"
)

func TestIncidentsOfTheBalancerAreToldOnce(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		w.balancer.Happen("it died and was started again")
		time.Sleep(3 * time.Second)
		w.balancer.Happen("somebody else changed its file")
		w.balancer.SetProblems("its file is another's")
		time.Sleep(3 * time.Second)
		told := w.told(cms.EventBalancerIncident)
		require.Len(t, told, 2)
		assert.Equal(t, "balancer: it died and was started again", told[0].Message)
		assert.Equal(t, "balancer: somebody else changed its file", told[1].Message)
		assert.Equal(t, []string{"its file is another's"}, w.Balancer().Stats.Problems)
		assert.Equal(t, []string{"the balancer has a problem: its file is another's"}, sentences(w.Cluster().Problems))
		w.balancer.SetProblems()
		time.Sleep(2 * time.Second)
		assert.Empty(t, w.Cluster().Problems)
	})
}

func TestBalancerThatDoesNotAnswerIsAProblemOfPodsWithFronts(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		w.balancer.Fail(balancertest.Observe, balancer.ErrUnavailable)
		time.Sleep(5 * time.Second)
		s, err := w.Pod("web")
		require.NoError(t, err)
		require.Len(t, s.Problems, 1)
		assert.Contains(t, sentences(s.Problems)[0], "the balancer does not answer")
		require.Len(t, w.told(cms.EventBalancerIncident), 1, "once, however often it was asked")
		w.balancer.Fail(balancertest.Observe, nil)
		time.Sleep(3 * time.Second)
		s, err = w.Pod("web")
		require.NoError(t, err)
		assert.Empty(t, s.Problems)
		told := w.told(cms.EventBalancerIncident)
		require.Len(t, told, 2)
		assert.Equal(t, "the balancer answers again", told[1].Message)
	})
}

// Each call of the balancer takes a second: pods that ask nothing of it keep
// their tick, and reads wait for nobody.
func TestSlowBalancerHoldsUpNoTick(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		for _, m := range []balancertest.Method{balancertest.SetFront, balancertest.RemoveFront, balancertest.Apply, balancertest.Observe} {
			w.balancer.Delay(m, time.Second)
		}
		time.Sleep(3 * time.Second)
		before, err := w.Ticks("web", 1)
		require.NoError(t, err)
		require.NotEmpty(t, before)
		const turns = 20
		for range turns {
			begun := time.Now()
			w.Balancer()
			w.Cluster()
			_, err := w.Pod("web")
			require.NoError(t, err)
			assert.Zero(t, time.Since(begun), "reads take no time")
			time.Sleep(time.Second)
		}
		after, err := w.Ticks("web", 1)
		require.NoError(t, err)
		assert.InDelta(t, turns, int(after[0].Seq-before[0].Seq), 1, "one tick a second")
		w.launch()
		w.converge()
		w.assertConsistent()
	})
}
