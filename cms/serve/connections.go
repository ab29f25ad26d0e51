package serve

import (
	"container/list"
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"net"
	"net/http"
	"sync"
	"syscall"

	"golang.org/x/time/rate"

	"github.com/elastipod/elastipod/cms/wire"
)

// The clients of the API get a part of the files that this process may open: the
// rest is for HAProxy, engines, nodes, and the connections of the in-process
// balancer.
const (
	connectionShare = 2 // one of so many files is for the API's connections
	streamShare     = 4 // and one for what streams of events and logs hold besides
	mostConnections = 4096
)

// share returns one of n of the files that this process may open, and no more
// than would be a burden to its memory.
func share(n uint64) int {
	files := syscall.Rlimit{Cur: math.MaxUint64}
	_ = syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files) // it fails nowhere; then there is no such limit
	return int(min(max(files.Cur/n, 1), mostConnections))
}

// connections bounds those of the API. Where there are too many, the one that is
// idle for the longest goes; where none is, the new one is answered 503.
type connections struct {
	most, spare int // spare ones are those that are answered 503
	log         *slog.Logger
	complain    rate.Sometimes

	mu      sync.Mutex
	open    map[net.Conn]*connection
	idle    *list.List // of net.Conn, the one that is idle for the longest first
	refused int        // of those that are open
}

// connection is one that the API has.
type connection struct {
	idle    *list.Element // nil: it is not
	refused bool
}

func newConnections(most int, log *slog.Logger) *connections {
	return &connections{
		most: most, spare: max(most/8, 8), log: log, complain: rate.Sometimes{First: 1, Interval: complainEvery},
		open: map[net.Conn]*connection{}, idle: list.New(),
	}
}

// bound makes the server ask for each connection.
func (s *connections) bound(server *http.Server) {
	next := server.ConnContext
	server.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if next != nil {
			ctx = next(ctx, c)
		}
		return s.admit(ctx, c)
	}
	server.ConnState = s.change
	server.Handler = s.refusing(server.Handler)
}

type refusedKey struct{}

// admit decides on a new connection.
func (s *connections) admit(ctx context.Context, c net.Conn) context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.open)-s.refused >= s.most {
		s.complain.Do(func() { s.log.Warn("the API has too many clients", "connections", s.most) })
		if longest := s.idle.Front(); longest != nil {
			cut := longest.Value.(net.Conn)
			s.forget(cut)
			closeNow(cut)
		}
	}
	if len(s.open)-s.refused < s.most {
		s.open[c] = &connection{}
		return ctx
	}
	if s.refused >= s.spare {
		closeNow(c)
		return ctx
	}
	s.open[c] = &connection{refused: true}
	s.refused++
	return context.WithValue(ctx, refusedKey{}, true)
}

// closeNow does not wait for the farewell of TLS.
func closeNow(c net.Conn) {
	if secure, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = secure.NetConn()
	}
	_ = c.Close() // nothing was promised to it
}

// change is told how a connection is now.
func (s *connections) change(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	this := s.open[c]
	if this == nil {
		return // it was cut
	}
	if this.idle != nil {
		s.idle.Remove(this.idle)
		this.idle = nil
	}
	switch state {
	case http.StateIdle:
		this.idle = s.idle.PushBack(c)
	case http.StateClosed, http.StateHijacked:
		s.forget(c)
	}
}

func (s *connections) forget(c net.Conn) {
	this := s.open[c]
	if this.idle != nil {
		s.idle.Remove(this.idle)
	}
	if this.refused {
		s.refused--
	}
	delete(s.open, c)
}

// refusing answers the requests of connections that are too many.
func (s *connections) refusing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(refusedKey{}) == nil {
			next.ServeHTTP(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Type", wire.ProblemType)
		h.Set("Connection", "close")
		h.Set("Retry-After", "2")
		w.WriteHeader(http.StatusServiceUnavailable)
		_ = json.NewEncoder(w).Encode(wire.ProblemDetails{ // the client may have gone
			Title: http.StatusText(http.StatusServiceUnavailable), Status: http.StatusServiceUnavailable, Instance: r.URL.Path,
			Detail: "the server has as many connections as it may have; try again in a moment, or raise its limit of open files",
		})
	})
}
