package docker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/client"

	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/internal/machine"
)

// oldestAPI is the version of the API that Docker 20.10 speaks.
const oldestAPI = "1.41"

var errClosed = errors.New("docker: runtime is closed")

// Runtime is a [pod.Runtime] whose nodes are containers of one Docker Engine.
// It also is a [pod.Watcher], [pod.Preparer], [pod.Logger], [pod.Salvager] and
// [pod.Collector].
type Runtime struct {
	cluster pod.Cluster
	host    pod.Host
	log     *slog.Logger
	api     client.APIClient
	conns   *connections // nil in unit tests
	cgroups cgroupRoot

	life   context.Context // ends with Close
	end    context.CancelFunc
	work   sync.WaitGroup // every goroutine of the runtime
	busy   keyedLock      // one change of a node at a time
	images imageUse

	negotiated atomic.Bool

	mu      sync.Mutex
	closed  bool
	known   map[string]*known // by container id
	facts   *facts            // what is known of the engine; nil until asked
	checked time.Time
	hostCPU machine.CPU
}

var _ interface {
	pod.Runtime
	pod.Watcher
	pod.Preparer
	pod.Logger
	pod.Salvager
	pod.Collector
} = (*Runtime)(nil)

// New returns a runtime for the nodes of a cluster on a host. It checks the
// configuration, every fault at once, and reads TLS files; it neither dials the
// engine nor starts anything.
func New(c Config) (*Runtime, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("docker: open host %q: %w", c.Host.Name, err)
	}
	api, conns, err := connect(c.Host)
	if err != nil {
		return nil, fmt.Errorf("docker: open host %q: %w", c.Host.Name, err)
	}
	r := newRuntime(c, api)
	r.conns = conns
	return r, nil
}

func newRuntime(c Config, api client.APIClient) *Runtime {
	r := &Runtime{
		cluster: c.Cluster, host: c.Host, log: c.Logger, api: api,
		cgroups: "/",
		busy:    keyedLock{held: map[pod.NodeID]chan struct{}{}},
		known:   map[string]*known{},
	}
	r.life, r.end = context.WithCancel(context.Background())
	return r
}

// Extras implements [pod.Runtime]: all of them.
func (r *Runtime) Extras() pod.Extras {
	return pod.Extras{Watcher: r, Preparer: r, Logger: r, Salvager: r, Collector: r}
}

// Close implements [pod.Runtime]. It ends running calls, log readers and
// watches.
func (r *Runtime) Close() error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.end()
	r.work.Wait()
	if r.conns != nil {
		return r.conns.close()
	}
	return nil
}

// call runs f with a context that also ends with Close, and adds to its error what
// was done.
func call[T any](ctx context.Context, r *Runtime, what string, f func(context.Context) (T, error)) (out T, err error) {
	ctx, done, err := r.begin(ctx)
	if err == nil {
		defer done()
		out, err = f(ctx)
	}
	return out, r.fail(ctx, err, what)
}

// begin returns a context that also ends with Close, or an error. The caller
// calls the function when it is done.
func (r *Runtime) begin(ctx context.Context) (context.Context, func(), error) {
	if err := ctx.Err(); err != nil {
		return ctx, nil, err
	}
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return ctx, nil, errClosed
	}
	r.work.Add(1)
	r.mu.Unlock()
	inner, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(r.life, func() { cancel(errClosed) })
	done := func() {
		stop()
		cancel(nil)
		r.work.Done()
	}
	if err := r.negotiate(inner); err != nil {
		done()
		return inner, nil, err
	}
	return inner, done, nil
}

// negotiate settles the version of the API before the first other call. The
// client could do so by itself, but some of its methods look at the version
// while others write it.
func (r *Runtime) negotiate(ctx context.Context) error {
	if r.negotiated.Load() {
		return nil
	}
	unlock, err := r.busy.lock(ctx, pod.NodeID{}) // of no node
	if err != nil {
		return err
	}
	defer unlock()
	if r.negotiated.Load() {
		return nil
	}
	ping, err := r.api.Ping(ctx)
	if err != nil {
		return err
	}
	if versions.LessThan(ping.APIVersion, oldestAPI) {
		return fmt.Errorf("%w: the engine speaks API %s at most; %s (Docker 20.10) or newer is needed", pod.ErrUnsupported, ping.APIVersion, oldestAPI)
	}
	r.api.NegotiateAPIVersionPing(ping)
	r.negotiated.Store(true)
	return nil
}

// keyedLock serialises what is done to one node.
type keyedLock struct {
	mu   sync.Mutex
	held map[pod.NodeID]chan struct{} // closed when it is let go
}

// lock waits its turn, or until ctx ends. The function lets go.
func (l *keyedLock) lock(ctx context.Context, id pod.NodeID) (func(), error) {
	for {
		l.mu.Lock()
		other, taken := l.held[id]
		if !taken {
			mine := make(chan struct{})
			l.held[id] = mine
			l.mu.Unlock()
			return func() {
				l.mu.Lock()
				defer l.mu.Unlock()
				delete(l.held, id)
				close(mine)
			}, nil
		}
		l.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// locked says whether something is being done to a node.
func (l *keyedLock) locked(id pod.NodeID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held[id] != nil
}
