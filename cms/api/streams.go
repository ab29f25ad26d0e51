package api

import (
	"context"
	"net/http"
	"sync"
)

// streams counts what runs until its client goes, so that Close can end it, and
// SetAccess what its client may not have any more.
type streams struct {
	admits func(tokenHash) bool
	most   int
	texts  eventTexts

	mu     sync.Mutex
	closed bool
	ctx    context.Context
	cancel context.CancelFunc
	open   map[*stream]struct{}
	all    sync.WaitGroup
}

// stream is one that runs.
type stream struct {
	token  tokenHash
	cancel context.CancelCauseFunc
}

func (s *streams) init(most int, admits func(tokenHash) bool) {
	s.most = most
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.admits, s.open = admits, map[*stream]struct{}{}
}

var (
	errClosing = newProblem(http.StatusServiceUnavailable, "the server is shutting down; try again once it is back").header("Retry-After", retrySoon)
	errRevoked = newProblem(http.StatusUnauthorized, "the token was taken back while the request came in; use another")
	errStreams = newProblem(http.StatusServiceUnavailable, "too many streams of events and logs are open; end some, or try again later").header("Retry-After", retrySoon)
)

// begin returns a context that also ends when the API closes or the token that
// the request came with is not valid any more, and a function to call at the end
// of the stream.
func (s *streams) begin(parent context.Context) (context.Context, func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil, errClosing
	}
	token := tokenOf(parent)
	if !s.admits(token) { // since it was checked
		return nil, nil, errRevoked
	}
	if len(s.open) >= s.most {
		return nil, nil, errStreams
	}
	s.all.Add(1)
	ctx, cancel := context.WithCancelCause(parent)
	stop := context.AfterFunc(s.ctx, func() { cancel(errClosing) })
	this := &stream{token, cancel}
	s.open[this] = struct{}{}
	return ctx, func() {
		stop()
		cancel(nil)
		s.mu.Lock()
		delete(s.open, this)
		s.mu.Unlock()
		s.all.Done()
	}, nil
}

// cut ends the streams whose token is not admitted.
func (s *streams) cut(admits func(tokenHash) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for x := range s.open {
		if !admits(x.token) {
			x.cancel(errRevoked)
		}
	}
}

func (s *streams) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.all.Wait()
}
