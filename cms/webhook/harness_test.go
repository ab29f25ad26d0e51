package webhook_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/webhook"
	"github.com/elastipod/elastipod/cms/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	secretA = "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("a", 32)))
	secretB = "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("b", 32)))
)

// hub is a manager of which only the events matter.
type hub struct {
	mu     sync.Mutex
	nextID uint64
	subs   []*stream
	past   []cms.Event
	asked  []uint64 // the ids after which was subscribed
	ready  chan struct{}
}

func newHub() *hub {
	h := &hub{nextID: 1, ready: make(chan struct{})}
	close(h.ready)
	return h
}

func (h *hub) Ready() <-chan struct{}                  { return h.ready }
func (h *hub) Cluster() cms.ClusterStatus              { return cms.ClusterStatus{Name: "prod", ID: "c1"} }
func (h *hub) Subscribe(uint64, int) *cms.Subscription { panic("replaced") }
func (h *hub) subscribe(after uint64, _ int) webhook.Subscription {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := &stream{events: make(chan cms.Event, 100_000), end: make(chan error, 1)}
	for _, e := range h.past {
		if e.ID > after {
			s.events <- e
		}
	}
	h.subs, h.asked = append(h.subs, s), append(h.asked, after)
	return s
}

// emit tells of events; their ids and times are filled in.
func (h *hub) emit(events ...cms.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range events {
		if e.Type != cms.EventTick && e.Type != cms.EventReset {
			e.ID = h.nextID
			h.nextID++
		}
		e.At = time.Now()
		h.past = append(h.past, e)
		for _, s := range h.subs {
			s.events <- e
		}
	}
}

// stop ends every subscription.
func (h *hub) stop(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.subs {
		s.end <- err
	}
	h.subs = nil
}

type stream struct {
	events chan cms.Event
	end    chan error
}

func (s *stream) Next(ctx context.Context) (cms.Event, error) {
	select {
	case e := <-s.events:
		return e, nil
	default:
	}
	select {
	case e := <-s.events:
		return e, nil
	case err := <-s.end:
		return cms.Event{}, err
	case <-ctx.Done():
		return cms.Event{}, ctx.Err()
	}
}

func (s *stream) Close() {}

// got is a request that a receiver saw.
type got struct {
	at   time.Time
	host string
	head http.Header
	body []byte
	wire.WebhookMessage
}

// receivers answers requests without a network, so that time can be scripted.
type receivers struct {
	t      *testing.T
	mu     sync.Mutex
	seen   []got
	answer func(r *http.Request, n int) (*http.Response, error) // n counts requests of the host from 0
}

func (s *receivers) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	require.NoError(s.t, err)
	g := got{at: time.Now(), host: r.URL.Host, head: r.Header.Clone(), body: body}
	assert.NoError(s.t, json.Unmarshal(body, &g.WebhookMessage))
	s.mu.Lock()
	n := 0
	for _, before := range s.seen {
		if before.host == g.host {
			n++
		}
	}
	s.seen = append(s.seen, g)
	s.mu.Unlock()
	if s.answer == nil {
		return reply(200), nil
	}
	return s.answer(r, n)
}

// of returns the requests of a host.
func (s *receivers) of(host string) []got {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []got
	for _, g := range s.seen {
		if g.host == host {
			out = append(out, g)
		}
	}
	return out
}

func reply(status int, head ...string) *http.Response {
	r := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("thanks"))}
	for i := 0; i < len(head); i += 2 {
		r.Header.Set(head[i], head[i+1])
	}
	return r
}

var errRefused = errors.New("connection refused")

func at(name string) webhook.Target {
	return webhook.Target{Name: name, URL: "https://" + name + "/in?token=s3cret", Secrets: []string{secretA}, Types: []string{"*"}}
}

// begin runs a sender; end ends it and returns how long that took.
func begin(t *testing.T, h *hub, transport http.RoundTripper, targets ...webhook.Target) (s *webhook.Sender, end func() time.Duration) {
	t.Helper()
	s, err := webhook.New(webhook.Config{Manager: h, Targets: targets, Transport: transport, Version: "1.2.3"})
	require.NoError(t, err)
	s.SetSubscribe(h.subscribe)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	var once sync.Once
	var took time.Duration
	end = func() time.Duration {
		once.Do(func() {
			began := time.Now()
			cancel()
			require.NoError(t, <-done)
			took = time.Since(began)
		})
		return took
	}
	t.Cleanup(func() { end() })
	return s, end
}

// verify holds a request against the library that receivers use.
func verify(t *testing.T, g got, secret string) {
	t.Helper()
	w, err := standardwebhooks.NewWebhook(secret)
	require.NoError(t, err)
	assert.NoError(t, w.Verify(g.body, g.head))
}

// verifyAt is for a request that was sent longer ago than receivers accept.
func verifyAt(t *testing.T, g got, secret string) {
	t.Helper()
	w, err := standardwebhooks.NewWebhook(secret)
	require.NoError(t, err)
	assert.NoError(t, w.VerifyIgnoringTimestamp(g.body, g.head))
	assert.Equal(t, strconv.FormatInt(g.at.Unix(), 10), g.head.Get("webhook-timestamp"))
}

func scaled(pod string) cms.Event {
	return cms.Event{Type: cms.EventScaled, Pod: pod, Message: "CPU 91 % is above 70 %"}
}

// ids returns the ids of events in the order in which they came.
func ids(all []got) (out []uint64) {
	for _, g := range all {
		out = append(out, g.Data.ID)
	}
	return out
}

// status returns how a target is doing.
func status(t *testing.T, s *webhook.Sender, name string) wire.Webhook {
	t.Helper()
	for _, w := range s.Targets() {
		if w.Name == name {
			return w
		}
	}
	require.Fail(t, fmt.Sprintf("no target %s", name))
	return wire.Webhook{}
}
