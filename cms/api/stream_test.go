package api_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/api"
	"github.com/elastipod/elastipod/pod"
)

func newBody(s string) io.Reader { return strings.NewReader(s) }

// live serves the API on a real connection.
func live(t *testing.T, a *api.API) (get func(path string, headers ...string) (*bufio.Reader, *http.Response)) {
	t.Helper()
	server := httptest.NewServer(a.Handler())
	t.Cleanup(server.Close)
	return func(path string, headers ...string) (*bufio.Reader, *http.Response) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+path, nil)
		require.NoError(t, err)
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		r, err := server.Client().Do(req)
		require.NoError(t, err)
		t.Cleanup(func() { _ = r.Body.Close() })
		return bufio.NewReader(r.Body), r
	}
}

// block reads up to the next empty line.
func block(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		require.NoError(t, err)
		if line == "\n" {
			return b.String()
		}
		b.WriteString(line)
	}
}

func TestEvents(t *testing.T) {
	f := newFake()
	f.events = []cms.Event{{ID: 1}, {ID: 2}, {ID: 3}}
	a := newAPI(t, f, func(c *api.Config) { c.Heartbeat = 30 * time.Millisecond })
	s := newStream()
	begin := make(chan uint64, 10)
	a.SetSubscribe(func(after uint64, _ int) api.Subscription { begin <- after; return s })
	get := live(t, a)

	body, r := get("/v1/events?pod=web")
	require.Equal(t, 200, r.StatusCode)
	assert.Equal(t, "text/event-stream", r.Header.Get("Content-Type"))
	assert.Equal(t, uint64(3), <-begin, "only new events")
	assert.Equal(t, "retry: 1000\nid: 3\n", block(t, body), "where to resume, before anything happens")

	s.events <- cms.Event{ID: 4, At: at, Type: cms.EventNodeOnline, Pod: "web", Node: "web-1", Message: "two\nlines"}
	got := next(t, body)
	assert.Equal(t, "id: 4\nevent: node.online\ndata: {\"id\":4,\"at\":\"2026-11-05T10:00:00Z\",\"type\":\"node.online\",\"pod\":\"web\",\"node\":\"web-1\",\"message\":\"two\\nlines\"}\n", got)

	s.events <- cms.Event{Type: cms.EventTick, Pod: "web", Tick: &cms.Tick{}}
	s.events <- cms.Event{ID: 5, Type: cms.EventNodeOnline, Pod: "other"}
	for got = block(t, body); got == ": still here\n"; got = block(t, body) {
	}
	assert.Equal(t, "id: 5\n", got, "events that are left out count for resuming")
	s.events <- cms.Event{ID: 6, Type: cms.EventReset}
	assert.Contains(t, next(t, body), "event: reset")

	s.end <- cms.ErrLagged
	_, err := io.ReadAll(body)
	require.NoError(t, err, "a slow client's stream ends")
	<-s.closed
}

// next skips signs of life.
func next(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	for {
		if b := block(t, r); strings.Contains(b, "data:") {
			return b
		}
	}
}

func TestEventsBeginWhereAsked(t *testing.T) {
	f := newFake()
	a := newAPI(t, f)
	begin := make(chan uint64, 1)
	a.SetSubscribe(func(after uint64, _ int) api.Subscription {
		begin <- after
		s := newStream()
		s.end <- cms.ErrNotRunning
		return s
	})
	for _, c := range []struct {
		path    string
		headers []string
		after   uint64
	}{
		{"/v1/events", nil, 0},
		{"/v1/events?after=0", nil, 0},
		{"/v1/events?after=17", nil, 17},
		{"/v1/events?after=17", []string{"Last-Event-ID", "20"}, 20},
	} {
		call(t, a, "GET", c.path, nil, c.headers...)
		assert.Equal(t, c.after, <-begin, c)
	}
}

func TestEventTypes(t *testing.T) {
	for _, c := range []struct{ query, want string }{
		{"", "pod.scaled node.online reset rollout.step node.hung node.cut future.thing"},
		{"?ticks=true", "pod.scaled node.online tick reset rollout.step node.hung node.cut future.thing"},
		{"?types=node", "node.online reset node.hung node.cut"},
		{"?types=pod.scaled,tick", "pod.scaled tick reset"},
		{"?types=host", "reset"},
		{"?types=rollout", "reset rollout.step"},
		{"?types=node.hung,node.cut", "reset node.hung node.cut"},
	} {
		a := newAPI(t, newFake())
		a.SetSubscribe(func(uint64, int) api.Subscription {
			s := newStream(cms.Event{ID: 1, Type: cms.EventScaled}, cms.Event{ID: 2, Type: cms.EventNodeOnline}, cms.Event{Type: cms.EventTick}, cms.Event{ID: 3, Type: cms.EventReset},
				cms.Event{ID: 4, Type: cms.EventRolloutStep}, cms.Event{ID: 5, Type: cms.EventNodeHung}, cms.Event{ID: 6, Type: cms.EventNodeCut, Cut: 2},
				cms.Event{ID: 7, Type: "future.thing"})
			s.end <- cms.ErrNotRunning
			return s
		})
		data, err := io.ReadAll(call(t, a, "GET", "/v1/events"+c.query, nil).Body)
		require.NoError(t, err)
		var got []string
		for line := range strings.Lines(string(data)) {
			if name, ok := strings.CutPrefix(line, "event: "); ok {
				got = append(got, strings.TrimSpace(name))
			}
		}
		assert.Equal(t, c.want, strings.Join(got, " "), c.query)
	}
}

// Close ends streams and waits for them; new ones are told to come back.
func TestCloseEndsStreams(t *testing.T) {
	f := newFake()
	reader, writer := io.Pipe()
	f.logs = func(context.Context) (io.ReadCloser, error) { return reader, nil }
	a := newAPI(t, f)
	s := newStream()
	a.SetSubscribe(func(uint64, int) api.Subscription { return s })
	get := live(t, a)
	events, _ := get("/v1/events")
	block(t, events)
	logs, _ := get("/v1/pods/web/nodes/web-1/logs?follow=true")
	_, err := io.WriteString(writer, "hello\n")
	require.NoError(t, err)
	line, err := logs.ReadString('\n')
	require.NoError(t, err)
	assert.Equal(t, "hello\n", line, "output comes as it is written")

	require.NoError(t, a.Close())
	<-s.closed
	_, err = writer.Write([]byte("x"))
	assert.ErrorIs(t, err, io.ErrClosedPipe)
	_, err = io.ReadAll(events)
	require.NoError(t, err)
	_, r := get("/v1/events")
	assert.Equal(t, 503, r.StatusCode)
	assert.NotEmpty(t, r.Header.Get("Retry-After"))
	require.NoError(t, a.Close(), "twice")
}

func TestLogs(t *testing.T) {
	f := newFake()
	get := live(t, newAPI(t, f))
	body, r := get("/v1/pods/web/nodes/web-1/logs")
	data, err := io.ReadAll(body)
	require.NoError(t, err)
	assert.Equal(t, "one\ntwo\n", string(data))
	assert.Equal(t, "text/plain; charset=utf-8", r.Header.Get("Content-Type"))
	assert.Equal(t, "nosniff", r.Header.Get("X-Content-Type-Options"))

	f.logs = func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader("half"), broken{})), nil
	}
	body, _ = get("/v1/pods/web/nodes/web-1/logs")
	_, err = io.ReadAll(body)
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF, "what is not complete does not look so")

	f.logs = func(context.Context) (io.ReadCloser, error) { return nil, pod.ErrUnsupported }
	_, r = get("/v1/pods/web/nodes/web-1/logs")
	assert.Equal(t, 409, r.StatusCode)

	f.logs = func(context.Context) (io.ReadCloser, error) {
		return nil, fmt.Errorf("%w: nothing is left of the output: %w", cms.ErrConflict, pod.ErrNotFound)
	}
	_, r = get("/v1/pods/web/nodes/web-1/logs")
	assert.Equal(t, 409, r.StatusCode, "the node is there, its output is not")
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("the host went away") }
