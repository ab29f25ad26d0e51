package webhook_test

import (
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/webhook"
	"github.com/elastipod/elastipod/cms/wire"
)

func TestSendsInOrderAndSigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, r := newHub(), &receivers{t: t}
		h.emit(scaled("before")) // before the sender runs
		two := at("b")
		two.Secrets = []string{secretB, secretA}
		s, _ := begin(t, h, r, at("a"), two)
		for range 50 {
			h.emit(scaled("web"), cms.Event{Type: cms.EventTick, Pod: "web"})
		}
		synctest.Wait()
		for _, host := range []string{"a", "b"} {
			all := r.of(host)
			require.Len(t, all, 51, "no ticks")
			require.True(t, slices.IsSorted(ids(all)), "in order")
			for i, g := range all {
				verify(t, g, secretA)
				assert.Equal(t, "c1-"+strconv.Itoa(i+1)+"-"+host, g.head.Get("webhook-id"))
				assert.Equal(t, strconv.FormatInt(g.at.Unix(), 10), g.head.Get("webhook-timestamp"))
				assert.Equal(t, []string{"application/json", "elastipod/1.2.3"}, []string{g.head.Get("Content-Type"), g.head.Get("User-Agent")})
				assert.Equal(t, []string{"pod.scaled", "pod.scaled", "prod"}, []string{g.Type, g.Data.Type, g.Cluster})
				assert.Zero(t, g.Missed)
			}
			if host == "b" {
				verify(t, all[0], secretB)
			}
		}
		w := status(t, s, "a")
		assert.Equal(t, wire.Webhook{Name: "a", Origin: "https://a", Types: []string{"*"}, State: "active", Delivered: 51, Attempts: 51, Last: w.Last}, w)
	})
}

func TestRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub()
		r := &receivers{t: t, answer: func(_ *http.Request, n int) (*http.Response, error) {
			switch n {
			case 0:
				return nil, errRefused
			case 1:
				return reply(500), nil
			case 2:
				return reply(429, "Retry-After", "30"), nil
			case 3:
				return reply(503, "Retry-After", time.Now().Add(45*time.Second).UTC().Format(http.TimeFormat)), nil
			case 4:
				return reply(503, "Retry-After", "99999999"), nil
			}
			return reply(204), nil
		}}
		s, _ := begin(t, h, r, at("a"))
		h.emit(scaled("web"), scaled("web"))
		synctest.Wait()
		w := status(t, s, "a")
		assert.Equal(t, []any{"retrying", "connection refused", 2}, []any{w.State, w.Error, w.Queued})
		time.Sleep(20 * time.Minute)
		all := r.of("a")
		assert.Equal(t, []uint64{1, 1, 1, 1, 1, 1, 2}, ids(all), "the second waits for the first")
		for i, between := range [][2]float64{{0.5, 1.5}, {1, 3}, {30, 30}, {44, 46}, {600, 600}} {
			gap := all[i+1].at.Sub(all[i].at).Seconds()
			assert.GreaterOrEqual(t, gap, between[0], i)
			assert.LessOrEqual(t, gap, between[1], i)
		}
		for _, g := range all[:6] {
			verifyAt(t, g, secretA)
			assert.Equal(t, "c1-1-a", g.head.Get("webhook-id"), "a receiver can drop repeats")
			assert.Equal(t, all[0].body, g.body)
		}
		assert.NotEqual(t, all[0].head.Get("webhook-signature"), all[5].head.Get("webhook-signature"), "each attempt has a time of its own")
		w = status(t, s, "a")
		assert.Equal(t, []any{"active", "", 0, uint64(2), uint64(7), uint64(0)}, []any{w.State, w.Error, w.Queued, w.Delivered, w.Attempts, w.Failed})
	})
}

func TestRefusalsAreNotRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub()
		statuses := []int{400, 401, 404, 408, 422, 301, 307, 200}
		r := &receivers{t: t, answer: func(_ *http.Request, n int) (*http.Response, error) {
			return reply(statuses[n], "Location", "https://elsewhere/"), nil
		}}
		s, _ := begin(t, h, r, at("a"))
		for range statuses {
			h.emit(scaled("web"))
		}
		time.Sleep(time.Hour)
		all := r.of("a")
		assert.Equal(t, []uint64{1, 2, 3, 4, 5, 6, 7, 8}, ids(all))
		assert.Equal(t, uint64(7), all[7].Missed, "the last says that seven are missing")
		assert.Empty(t, r.of("elsewhere"), "redirects are not followed")
		w := status(t, s, "a")
		assert.Equal(t, []uint64{1, 7, 8}, []uint64{w.Delivered, w.Failed, w.Attempts})
	})
}

func TestGivesUpAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub()
		var bad atomic.Bool
		bad.Store(true)
		r := &receivers{t: t, answer: func(*http.Request, int) (*http.Response, error) {
			if bad.Load() {
				return reply(500), nil
			}
			return reply(200), nil
		}}
		a := at("a")
		a.GiveUp = 5 * time.Minute
		s, _ := begin(t, h, r, a)
		h.emit(scaled("web"), scaled("web"))
		time.Sleep(5*time.Minute + time.Second)
		all := r.of("a")
		assert.Equal(t, 5*time.Minute, all[len(all)-2].at.Sub(all[0].at), "the last attempt is at the end")
		assert.Less(t, len(all), 20, "the pauses grow")
		assert.Equal(t, uint64(1), status(t, s, "a").Failed)
		bad.Store(false)
		time.Sleep(5 * time.Minute)
		all = r.of("a")
		last := all[len(all)-1]
		assert.Equal(t, []uint64{2, 1}, []uint64{last.Data.ID, last.Missed}, "it says that one is missing")
	})
}

func TestGoneDisables(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub()
		var gone atomic.Bool
		gone.Store(true)
		r := &receivers{t: t, answer: func(*http.Request, int) (*http.Response, error) {
			if gone.Load() {
				return reply(410), nil
			}
			return reply(200), nil
		}}
		s, _ := begin(t, h, r, at("a"))
		h.emit(scaled("web"), scaled("web"))
		synctest.Wait()
		h.emit(scaled("web"))
		time.Sleep(time.Hour)
		assert.Equal(t, 1, len(r.of("a")))
		w := status(t, s, "a")
		assert.Equal(t, []any{"disabled", uint64(1), uint64(2), 0}, []any{w.State, w.Failed, w.Dropped, w.Queued})

		result, err := s.Test(t.Context(), "a")
		require.NoError(t, err)
		assert.Equal(t, []any{false, 410}, []any{result.Delivered, result.Status})
		assert.Equal(t, "disabled", status(t, s, "a").State)
		gone.Store(false)
		result, err = s.Test(t.Context(), "a")
		require.NoError(t, err)
		assert.True(t, result.Delivered)
		h.emit(scaled("web"))
		synctest.Wait()
		all := r.of("a")
		assert.Equal(t, []uint64{4, 3}, []uint64{all[3].Data.ID, all[3].Missed})

		gone.Store(true)
		h.emit(scaled("web"))
		synctest.Wait()
		assert.Equal(t, "disabled", status(t, s, "a").State)
		gone.Store(false)
		require.NoError(t, s.SetTargets([]webhook.Target{at("a")}))
		h.emit(scaled("web"))
		synctest.Wait()
		assert.Equal(t, []any{"active", uint64(2)}, []any{status(t, s, "a").State, status(t, s, "a").Delivered})
	})
}

func TestQueueDropsTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub()
		free := make(chan struct{})
		r := &receivers{t: t, answer: func(r *http.Request, _ int) (*http.Response, error) {
			select {
			case <-free:
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
			return reply(200), nil
		}}
		a := at("a")
		a.Queue = 10
		s, _ := begin(t, h, r, a)
		for range 100 {
			h.emit(scaled("web"))
		}
		synctest.Wait()
		w := status(t, s, "a")
		assert.LessOrEqual(t, w.Queued, 11)
		assert.Equal(t, uint64(100), w.Dropped+uint64(w.Queued))
		close(free)
		synctest.Wait()
		all := r.of("a")
		assert.Equal(t, []uint64{91, 92, 93, 94, 95, 96, 97, 98, 99, 100}, ids(all[len(all)-10:]), "the newest are there")
		var missed uint64
		for _, g := range all {
			missed += g.Missed
		}
		assert.Equal(t, w.Dropped, missed, "the target is told once")
		assert.Equal(t, uint64(len(all)), status(t, s, "a").Delivered)
	})
}

// One target hangs, another refuses connections: the third gets its events at once.
func TestTargetsDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub()
		r := &receivers{t: t, answer: func(r *http.Request, _ int) (*http.Response, error) {
			switch r.URL.Host {
			case "slow":
				<-r.Context().Done()
				return nil, r.Context().Err()
			case "dead":
				return nil, errRefused
			}
			return reply(200), nil
		}}
		s, _ := begin(t, h, r, at("slow"), at("dead"), at("good"))
		began := time.Now()
		for range 900 {
			h.emit(scaled("web"))
		}
		synctest.Wait()
		assert.Equal(t, uint64(900), status(t, s, "good").Delivered)
		assert.Equal(t, began, time.Now())
		time.Sleep(time.Minute)
		slow := r.of("slow")
		assert.GreaterOrEqual(t, slow[1].at.Sub(slow[0].at), 10*time.Second, "the time-out, and a pause")
		assert.Equal(t, "no answer within 10s", status(t, s, "slow").Error)
		assert.Equal(t, "connection refused", status(t, s, "dead").Error)
	})
}

func TestEndFlushes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub()
		r := &receivers{t: t, answer: func(r *http.Request, n int) (*http.Response, error) {
			switch r.URL.Host {
			case "steady":
				time.Sleep(10 * time.Millisecond)
			case "once": // fails, and would be tried again in a second or so
				if n == 0 {
					return reply(500), nil
				}
			case "dead":
				return nil, errRefused
			}
			return reply(200), nil
		}}
		s, end := begin(t, h, r, at("steady"), at("once"), at("dead"))
		synctest.Wait()
		for range 50 {
			h.emit(scaled("web"))
		}
		took := end()
		assert.Equal(t, 50, len(r.of("steady")))
		assert.Equal(t, uint64(50), status(t, s, "once").Delivered, "what waited is tried at once")
		dead := status(t, s, "dead")
		assert.Equal(t, []any{uint64(50), 0}, []any{dead.Dropped, dead.Queued})
		assert.LessOrEqual(t, took, 2*time.Second+100*time.Millisecond)
	})
}

// The manager ends first: its last events are sent.
func TestEndsWithTheManager(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, r := newHub(), &receivers{t: t}
		_, end := begin(t, h, r, at("a"))
		synctest.Wait()
		h.emit(scaled("web"))
		h.stop(cms.ErrNotRunning)
		synctest.Wait()
		assert.Equal(t, 1, len(r.of("a")))
		assert.Zero(t, end(), "it had ended")
	})
}

func TestResumesWhereItWasTooSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, r := newHub(), &receivers{t: t}
		begin(t, h, r, at("a"))
		synctest.Wait()
		h.emit(scaled("web"), scaled("web"))
		synctest.Wait()
		h.stop(cms.ErrLagged)
		h.emit(scaled("web"))
		synctest.Wait()
		assert.Equal(t, []uint64{1, 2, 3}, ids(r.of("a")))
		assert.Equal(t, []uint64{0, 2}, h.asked)
		// Where events are lost the targets are told, under an id of its own.
		e := cms.Event{ID: 3, Type: cms.EventReset, Message: "read the state anew"}
		h.emit(e)
		synctest.Wait()
		all := r.of("a")
		assert.Equal(t, []string{"reset", "c1-3-a-reset"}, []string{all[3].Type, all[3].head.Get("webhook-id")})
	})
}

func TestSetTargetsWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub()
		r := &receivers{t: t, answer: func(r *http.Request, _ int) (*http.Response, error) {
			if r.URL.Host == "wrong" || r.URL.Host == "old" {
				return nil, errRefused
			}
			return reply(200), nil
		}}
		a := at("a")
		a.URL = "https://wrong/"
		s, _ := begin(t, h, r, a, at("old"))
		h.emit(scaled("web"), scaled("web"))
		time.Sleep(10 * time.Minute)
		assert.Equal(t, 2, status(t, s, "a").Queued)
		a.URL, a.Secrets = "https://right/", []string{secretB}
		now := time.Now()
		require.NoError(t, s.SetTargets([]webhook.Target{a, at("new")}))
		synctest.Wait()
		all := r.of("right")
		assert.Equal(t, []uint64{1, 2}, ids(all), "the queue goes to the new address")
		assert.Equal(t, now, all[0].at, "at once")
		verifyAt(t, all[0], secretB)
		old := len(r.of("old"))
		h.emit(scaled("web"))
		time.Sleep(time.Hour)
		assert.Equal(t, []uint64{3}, ids(r.of("new")))
		assert.Equal(t, old, len(r.of("old")), "it was taken away")
		assert.Len(t, s.Targets(), 2)

		bad := at("x")
		bad.URL = "nonsense"
		require.Error(t, s.SetTargets([]webhook.Target{bad}))
		assert.Len(t, s.Targets(), 2, "nothing changed")
		require.NoError(t, s.SetTargets(nil))
		assert.Empty(t, s.Targets())
	})
}

func TestTest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub()
		r := &receivers{t: t, answer: func(r *http.Request, n int) (*http.Response, error) {
			if n == 0 {
				return nil, errRefused // and so the queue waits
			}
			return reply(202), nil
		}}
		s, _ := begin(t, h, r, at("a"))
		h.emit(scaled("web"))
		synctest.Wait()
		result, err := s.Test(t.Context(), "a")
		require.NoError(t, err)
		assert.Equal(t, wire.WebhookTest{Delivered: true, Status: 202}, result, "past the queue")
		g := r.of("a")[1]
		verify(t, g, secretA)
		assert.Equal(t, []string{"webhook.test", "webhook.test", "prod"}, []string{g.Type, g.Data.Type, g.Cluster})
		_, err = s.Test(t.Context(), "b")
		require.ErrorIs(t, err, webhook.ErrNotFound)
	})
}

func TestRunIsForOnce(t *testing.T) {
	h := newHub()
	s, end := begin(t, h, &receivers{t: t})
	require.Eventually(t, func() bool { h.mu.Lock(); defer h.mu.Unlock(); return len(h.asked) > 0 }, 5*time.Second, time.Millisecond)
	require.Error(t, s.Run(t.Context()))
	end()
	require.NoError(t, s.SetTargets([]webhook.Target{at("late")}), "harmless after the end")
}

// A manager that never becomes ready does not keep the sender.
func TestEndsBeforeTheManagerIsReady(t *testing.T) {
	h := newHub()
	h.ready = make(chan struct{})
	_, end := begin(t, h, &receivers{t: t}, at("a"))
	assert.Less(t, end(), 5*time.Second)
}
