package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/elastipod/elastipod/cms/wire"
)

// EventOptions select events.
type EventOptions struct {
	// Types are types such as "pod.scaled", or whole families such as "node".
	// Default: every type but ticks.
	Types []string
	// Pod selects the events of one pod.
	Pod string
	// Ticks also asks for every turn of the pods' loops.
	Ticks bool
	// Brief asks for ticks without what was seen and how it was decided.
	Brief bool
	// Past begins with the oldest event that the server keeps after the id
	// After, instead of with new ones.
	Past  bool
	After uint64
	// Silence is how long the server may say nothing before the connection
	// counts as broken. Default 45 s, three of its heartbeats.
	Silence time.Duration
	// Retry is told of each broken connection, and when the next try is; it
	// must not block. Default: nobody is.
	Retry func(err error, next time.Duration)
}

// The time between two tries to connect.
const (
	firstRetry = 200 * time.Millisecond
	lastRetry  = 10 * time.Second
)

// Events calls f for each event, one call at a time, until f returns an error,
// which it then returns, or ctx ends. When the connection breaks it resumes
// where it was, with growing pauses; an event of type [wire.EventReset] says that
// some were lost. It returns errors of the server that trying again cannot mend,
// and the first error where no connection was ever made.
func (c *Client) Events(ctx context.Context, o EventOptions, f func(wire.Event) error) error {
	s := &eventStream{c: c, o: o, f: f}
	if o.Silence == 0 {
		s.o.Silence = 45 * time.Second
	}
	if o.Past {
		s.last = strconv.FormatUint(o.After, 10)
	}
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = firstRetry, lastRetry
	for {
		err := s.follow(ctx)
		var stop *stopped
		switch {
		case errors.As(err, &stop):
			return stop.err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !s.everConnected || !mayMend(err):
			return err
		}
		if s.heard {
			pause.Reset()
		}
		next := pause.NextBackOff()
		if o.Retry != nil {
			o.Retry(err, next)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(next):
		}
	}
}

// mayMend says whether trying again may help.
func mayMend(err error) bool {
	status := StatusOf(err)
	return status == 0 || status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout
}

// stopped is an error of the caller's function.
type stopped struct{ err error }

func (s *stopped) Error() string { return s.err.Error() }

type eventStream struct {
	c             *Client
	o             EventOptions
	f             func(wire.Event) error
	last          string // the id after which to resume; "": new events only
	everConnected bool
	heard         bool // something came over this connection
}

var errSilent = errors.New("the server said nothing for too long")

// follow reads one connection until it breaks.
func (s *eventStream) follow(parent context.Context) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	silence := time.AfterFunc(s.o.Silence, func() { cancel(errSilent) })
	defer silence.Stop()
	s.heard = false
	res, err := s.c.send(ctx, s.request())
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if media, _, err := mime.ParseMediaType(res.Header.Get("Content-Type")); err != nil || media != "text/event-stream" {
		return &stopped{fmt.Errorf("%s sends no events at /v1/events; is it an elastipod server?", s.c.base)}
	}
	s.everConnected = true
	err = s.read(res.Body, func() { silence.Reset(s.o.Silence) })
	if cause := context.Cause(ctx); cause != nil && parent.Err() == nil {
		return cause
	}
	return err
}

func (s *eventStream) request() request {
	q := url.Values{}
	if len(s.o.Types) > 0 {
		q.Set("types", strings.Join(s.o.Types, ","))
	}
	if s.o.Pod != "" {
		q.Set("pod", s.o.Pod)
	}
	if s.o.Ticks {
		q.Set("ticks", "true")
	}
	if s.o.Brief {
		q.Set("brief", "true")
	}
	h := http.Header{"Accept": {"text/event-stream"}}
	if s.last != "" {
		h.Set("Last-Event-ID", s.last)
	}
	return request{method: http.MethodGet, path: "/v1/events", query: q, header: h}
}

// maxEvent bounds one line of the stream, in bytes.
const maxEvent = 4 << 20

// read takes the stream apart, as the standard of server-sent events says.
func (s *eventStream) read(body io.Reader, alive func()) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 0, 64<<10), maxEvent)
	var data []byte
	id := s.last
	for lines.Scan() {
		alive()
		s.heard = true
		line := lines.Bytes()
		if len(line) == 0 { // the end of an event
			s.last = id
			if len(data) > 0 {
				if err := s.tell(data); err != nil {
					return err
				}
			}
			data = data[:0]
			continue
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "id":
			id = string(value)
		case "data":
			if len(data) > 0 {
				data = append(data, '\n')
			}
			data = append(data, value...)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("events from %s broke off: %w", s.c.base, err)
	}
	return fmt.Errorf("events from %s ended: %w", s.c.base, io.ErrUnexpectedEOF)
}

func (s *eventStream) tell(data []byte) error {
	var e wire.Event
	if err := json.Unmarshal(data, &e); err != nil {
		return &stopped{fmt.Errorf("an event of %s is not understood: %w", s.c.base, err)}
	}
	if err := s.f(e); err != nil {
		return &stopped{err}
	}
	return nil
}
