package inproc

import (
	"errors"
	"slices"
	"time"
)

// Why no server takes a request.
var (
	errNoServer = errors.New("inproc: no server")
	errQueue    = errors.New("inproc: waited too long for a server")
	errGone     = errors.New("inproc: the client went away")
)

// waiter is a request that waits for a server below its maximum.
type waiter struct {
	client uint64
	tried  []*server
	got    chan *server // one value: nil when there is no server any more
}

// acquire finds a server for the request of c, and counts the request there. It
// waits while all are full. Give the server back with release.
func (f *front) acquire(c *client, tried []*server) (*server, error) {
	f.mu.Lock()
	s, some := f.pick(c.hash, tried)
	if s != nil {
		s.take()
		f.mu.Unlock()
		return s, nil
	}
	if !some {
		f.mu.Unlock()
		return nil, errNoServer
	}
	w := &waiter{client: c.hash, tried: tried, got: make(chan *server, 1)}
	f.queue = append(f.queue, w)
	f.mu.Unlock()

	t := time.NewTimer(f.settings.Load().Timeouts.Queue)
	defer t.Stop()
	var err error
	select {
	case s = <-w.got:
		if s == nil {
			return nil, errNoServer
		}
		return s, nil
	case <-t.C:
		err = errQueue
	case <-c.wake:
		err = errGone
	}
	f.mu.Lock()
	if i := slices.Index(f.queue, w); i >= 0 {
		f.queue = slices.Delete(f.queue, i, i+1)
		f.mu.Unlock()
		return nil, err
	}
	f.mu.Unlock()
	// It was served at the same moment.
	if s = <-w.got; s == nil {
		return nil, errNoServer
	}
	if err == errQueue {
		return s, nil
	}
	f.release(s, false)
	return nil, err
}

// take counts a request. front.mu is held.
func (s *server) take() {
	s.inFlight++
	s.requests++
}

// release gives the server back. failed says that its answer was a 5xx, or
// none.
func (f *front) release(s *server, failed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s.inFlight--
	if failed {
		s.errors++
	}
	if len(f.queue) > 0 {
		f.dispatch()
	}
}

// dispatch serves those who wait, in order, as far as there is room. front.mu
// is held.
func (f *front) dispatch() {
	for len(f.queue) > 0 {
		w := f.queue[0]
		s, some := f.pick(w.client, w.tried)
		if s == nil && some {
			return
		}
		if s != nil {
			s.take()
		}
		f.queue = slices.Delete(f.queue, 0, 1)
		w.got <- s
	}
}
