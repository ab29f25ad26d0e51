package balancer

import (
	"context"
	"errors"
	"time"

	"github.com/elastipod/elastipod/internal/fault"
)

// Balancer spreads the requests of its fronts over their servers. It is
// declarative: a restart, a resume and a correction are the same calls.
//
// All methods may be called at the same time from several goroutines, and
// return soon after their context ends.
type Balancer interface {
	// SetFront makes the front be there as f says, and returns once it takes
	// connections. It is idempotent, and changes an existing front without
	// dropping a connection or touching its servers. A front without a ready
	// server answers 503. [ErrAddressInUse] says that another program, or
	// another front, listens there. On an error the front is as it was before.
	SetFront(ctx context.Context, f Front) error

	// RemoveFront closes the front and forgets its servers. What they are doing
	// is cut. A front that does not exist is no error.
	RemoveFront(ctx context.Context, name string) error

	// Apply makes the servers of the front be exactly want, in any order, by
	// name. A server in state [Drain] gets no new request and finishes those it
	// has; one that is absent is removed at once, cutting what it still does. A
	// server whose address changed is replaced. The caller has found ready
	// servers to be ready: they take requests as soon as Apply returns. It is
	// idempotent and cheap when nothing changes. [ErrNoFront] when the front
	// does not exist. On an error some of the changes may have been made; call
	// again.
	Apply(ctx context.Context, front string, want []Server) error

	// Observe returns the statistics of every front and server. It takes
	// milliseconds. The caller need not serialise it with the other methods.
	Observe(ctx context.Context) (Stats, error)

	// Close releases what the value holds in this program and waits for its
	// goroutines. What runs outside of this program goes on with what it has,
	// and is found again by a value opened later. It is safe to call twice.
	Close() error
}

// Errors that a [Balancer] returns, wrapped with the operation and the object.
var (
	// ErrNoFront says that the front does not exist.
	ErrNoFront = errors.New("balancer: no such front")
	// ErrAddressInUse says that something else listens on a front's address.
	ErrAddressInUse = errors.New("balancer: address in use")
	// ErrUnavailable says that the balancer does not answer.
	ErrUnavailable = errors.New("balancer: unavailable")
	// ErrClosed says that the Balancer was closed.
	ErrClosed = errors.New("balancer: closed")
)

// Fault is one thing that is wrong with a value.
type Fault = fault.Fault

// Faults is every fault of one value, and an error.
type Faults = fault.List

// Algorithm is how a front chooses a server.
type Algorithm string

// The algorithms. They mean what HAProxy's "balance" means by the same names.
const (
	LeastConn  Algorithm = "leastconn"  // the one with the fewest requests in flight (default)
	RoundRobin Algorithm = "roundrobin" // in turn, by weight
	Random     Algorithm = "random"     // the better of two chosen at random
	First      Algorithm = "first"      // the first by name that is below its MaxConn
	Source     Algorithm = "source"     // by a consistent hash of the client's address
)

// Front is an address on which requests are taken. The zero value of every
// field but Name and Listen has a default; see [Front.WithDefaults].
type Front struct {
	Name string // unique in the balancer: 1 to 40 of a-z, 0-9 and -, a letter first
	// Listen is "host:port"; the host is an IP address.
	Listen    string
	Algorithm Algorithm // how a server is chosen; default [LeastConn]
	// MaxConn is the most requests that one server is given at a time; more
	// wait, up to Timeouts.Queue. 0: no bound, and nothing waits.
	MaxConn  int
	Timeouts Timeouts // each with a default
	// Retries is how often a request that no server has begun to answer is
	// tried again, on another server where there is one. 0 means the default
	// of 3; negative means never.
	Retries int
	// RetryNonIdempotent also retries requests whose method is not idempotent
	// (RFC 9110, section 9.2.2) after they may have reached a server. They may
	// then run twice.
	RetryNonIdempotent bool
	// CheckPath is what the balancer's own health checks GET, where it has
	// them; empty: they only connect.
	CheckPath string
}

// Timeouts of a front; 0 means the default.
type Timeouts struct {
	Connect time.Duration // to a server; default 200 ms
	Client  time.Duration // client idle; default 60 s
	Server  time.Duration // from request sent to response begun, and between parts of it; default 60 s
	Queue   time.Duration // waiting for a server below its MaxConn; default 30 s
}

// Server is an endpoint as the balancer sees it.
type Server struct {
	Name   string      // unique in its front
	Addr   string      // "host:port"; the host is an IP address
	Weight int         // 1 to 256; 0 means the default of 100
	State  ServerState // default [Ready]
}

// ServerState is whether a server gets new requests.
type ServerState string

// The states of a server.
const (
	Ready ServerState = "ready"
	Drain ServerState = "drain"
)

// Stats is one observation of a balancer.
type Stats struct {
	Fronts []FrontStats // all of them, sorted by name
	// Problems are sentences for a person: what is wrong with the balancer itself
	// now, although it answers.
	Problems []string
	// Incidents are the last things that happened to the balancer itself, at most
	// [MaxIncidents], oldest first. An observer tells of those that it has not
	// seen; their times only grow while the Balancer value lives.
	Incidents []Incident
}

// MaxIncidents is the most incidents that a balancer keeps.
const MaxIncidents = 32

// Incident is something that happened to a balancer itself, such as that it died
// and was started again.
type Incident struct {
	At      time.Time // when it happened
	Message string    // a sentence for a person
}

// Front returns the statistics of the front of that name.
func (s Stats) Front(name string) (FrontStats, bool) {
	for _, f := range s.Fronts {
		if f.Name == name {
			return f, true
		}
	}
	return FrontStats{}, false
}

// FrontStats are the figures of one front, those of its removed servers
// included, and also while it has no server.
//
// Requests and Errors only grow while the Balancer value lives; a figure that
// is smaller than before says that its counting began anew.
type FrontStats struct {
	Name     string // as set
	Listen   string // as set
	Requests uint64 // taken so far
	// Errors counts the requests so far that were answered with a 5xx status,
	// by a server or by the balancer, or not answered through no fault of the
	// client.
	Errors   uint64
	InFlight int           // taken and not answered in full, those that wait included
	Waiting  int           // of these, how many wait for a server
	Latency  Latency       // of the requests of all servers
	Servers  []ServerStats // those that were applied, sorted by name
}

// Latency holds quantiles of response times over about the last ten seconds:
// from the request taken to the response complete, waiting included.
type Latency struct {
	Count         uint64        // requests that the quantiles come from (a sample of all); 0: the others mean nothing
	P50, P95, P99 time.Duration // response times that 50, 95 and 99 % of the requests did not exceed
}

// ServerStats are the figures of one server.
type ServerStats struct {
	Name     string      // as applied
	Addr     string      // as applied
	State    ServerState // as applied
	Weight   int         // as applied
	Up       bool        // the balancer's own checks and attempts say that it answers
	InFlight int         // requests that it has now; a drained server with 0 may be removed
	Requests uint64      // given to it so far
	Errors   uint64      // of these answered 5xx or broken off by it
}
