package webhook_test

import (
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/elastipod/elastipod/cms/webhook"
)

// Whatever a target answers: it gets events in order, none twice that it took,
// each that it did not get is counted once and told once, and nothing is sent
// more often than its time allows.
func TestNothingIsLostUnnoticed(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		answers := rapid.SliceOfN(rapid.SampledFrom([]int{0, 200, 200, 200, 204, 302, 400, 429, 500, 503}), 1, 60).Draw(rt, "answers")
		gaps := rapid.SliceOfN(rapid.SampledFrom([]time.Duration{0, 0, time.Millisecond, time.Second, time.Minute, time.Hour}), 1, 40).Draw(rt, "gaps")
		queue := rapid.IntRange(1, 10).Draw(rt, "queue")
		giveUp := rapid.SampledFrom([]time.Duration{time.Second, time.Minute, time.Hour}).Draw(rt, "give up")
		changes := rapid.Bool().Draw(rt, "change settings")
		cut := rapid.Bool().Draw(rt, "end at once")
		synctest.Test(t, func(t *testing.T) {
			h := newHub()
			var took []bool // of each attempt
			r := &receivers{t: t, answer: func(_ *http.Request, n int) (*http.Response, error) {
				status := 200 // in the end it works
				if n < len(answers) {
					status = answers[n]
				}
				took = append(took, status >= 200 && status < 300) // one attempt at a time
				if status == 0 {
					return nil, errRefused
				}
				return reply(status, "Retry-After", "7"), nil
			}}
			a := at("a")
			a.Queue, a.GiveUp = queue, giveUp
			s, end := begin(t, h, r, a)
			synctest.Wait()
			for i, gap := range gaps {
				h.emit(scaled("web"))
				if changes && i%5 == 4 {
					a.Secrets = []string{secretB}
					require.NoError(t, s.SetTargets([]webhook.Target{a}))
				}
				time.Sleep(gap)
			}
			if !cut {
				time.Sleep(100 * time.Hour)
				assert.Zero(t, status(t, s, "a").Queued, "nothing is forgotten in the queue")
			}
			end()
			all := r.of("a")
			w := status(t, s, "a")
			assert.Equal(t, uint64(len(gaps)), w.Delivered+w.Failed+w.Dropped, "every event is accounted for")
			assert.Zero(t, w.Queued)
			assert.Equal(t, uint64(len(all)), w.Attempts)
			assert.True(t, slices.IsSorted(ids(all)), "in order")
			var delivered []uint64
			missed := uint64(0)
			for i, g := range all {
				if took[i] {
					delivered = append(delivered, g.Data.ID)
					missed += g.Missed
					assert.Equal(t, g.Data.ID-1, missed+uint64(len(delivered))-1, "what is missing before it is told")
				}
			}
			assert.Equal(t, w.Delivered, uint64(len(delivered)))
			assert.Len(t, slices.Compact(slices.Clone(delivered)), len(delivered), "none twice")
		})
	})
}
