package haproxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/haproxytech/client-native/v5/configuration"

	"github.com/elastipod/elastipod/balancer"
)

// Balancer manages one HAProxy. Make it with [New].
type Balancer struct {
	cfg     Config
	log     *slog.Logger
	version string // of HAProxy's program, such as "2.6.12-1+deb12u4"
	lock    *os.File
	conf    configuration.Configuration
	lat     *latencies

	// writing is held by the one call that changes HAProxy, reading by the one
	// that observes it; both are channels of one slot, so that waiting for them
	// ends with the context.
	writing chan struct{}
	reading chan struct{}
	// totals belongs to whoever holds reading.
	totals *totals

	// mu guards what follows, and is not held while anything blocks.
	mu     sync.Mutex
	closed bool
	end    context.CancelFunc // ends every call when the value is closed
	ended  context.Context
	st     state
	fronts map[string]*front
	nextID uint64        // for incarnations
	notes  map[int]*note // of workers, by pid
	// workers are the processes that are known to be workers, by pid.
	workers map[int]process
	// wanted says that HAProxy ran for this value and was not shut down.
	wanted    bool
	problems  map[string]string // what → sentence
	incidents []balancer.Incident

	keeper    sync.WaitGroup // the goroutine that looks after HAProxy
	pokes     chan struct{}  // make it look now
	suspected atomic.Bool    // HAProxy did not answer when it was asked last: the keeper looks
	// What follows belongs to whoever holds writing.
	launched int64 // where HAProxy's output began when it was started last
	kept     listeners
	unsaved  bool // the state in the directory is older than st
}

// front is a front and its servers as they were last brought to HAProxy. It is
// not changed once it is in the map, but replaced.
type front struct {
	balancer.Front
	incarnation
	servers map[string]server
}

type server struct {
	balancer.Server
	incarnation
	id int // HAProxy's number of it
}

// incarnation tells a front or server from an earlier one of the same name.
type incarnation struct {
	inc  uint64
	born int // the configuration in which it came to be
}

// New opens the directory and finds the HAProxy that was started for it, if it
// still runs, with its fronts and servers. It starts none: the first front does.
// It starts two goroutines, which end with [Balancer.Close]: one reads response
// times; the other starts HAProxy again when it ends without having been shut
// down, and looks whether its configuration file was changed by others.
//
// It is an error if another Balancer uses the directory, or if the program is
// missing or older than 2.6.
func New(c Config) (*Balancer, error) {
	cfg, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	version, err := cfg.checkVersion(ctx)
	if err != nil {
		return nil, err
	}
	if err := cfg.makeDirs(); err != nil {
		return nil, err
	}
	lock, err := cfg.lockDir()
	if err != nil {
		return nil, err
	}
	b := &Balancer{
		version: version, lock: lock, log: cfg.Logger,
		writing: make(chan struct{}, 1), reading: make(chan struct{}, 1),
		totals: newTotals(), fronts: map[string]*front{}, notes: map[int]*note{},
		workers: map[int]process{}, problems: map[string]string{}, pokes: make(chan struct{}, 1),
	}
	b.ended, b.end = context.WithCancel(context.Background())
	if err := b.open(ctx, cfg); err != nil {
		b.end()
		b.dropListeners()
		_ = lock.Close()
		return nil, err
	}
	b.keeper.Go(b.keep)
	return b, nil
}

func (b *Balancer) open(ctx context.Context, cfg Config) error {
	st, err := cfg.loadState()
	if err != nil {
		return err
	}
	if st.Master.alive() && st.Sockets != "" {
		cfg.SocketDir = st.Sockets // where the one that runs has its own
	}
	b.cfg, b.st = cfg, st
	b.lookAtFile()
	if b.conf, err = cfg.openLibrary(ctx); err != nil {
		return err
	}
	if err := b.attach(ctx); err != nil {
		return err
	}
	b.lat, err = listenLatencies(cfg.socket(logSocket))
	return err
}

// PID is the process id of HAProxy's master process, or 0 while none runs.
func (b *Balancer) PID() int {
	if p := b.master(); p.alive() {
		return p.PID
	}
	return 0
}

// begin takes the slot for a call. done gives it back. The returned context
// ends also when the balancer is closed.
func (b *Balancer) begin(ctx context.Context, slot chan struct{}) (context.Context, func(), error) {
	if b.ended.Err() != nil {
		return nil, nil, balancer.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	select {
	case slot <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	case <-b.ended.Done():
		return nil, nil, balancer.ErrClosed
	}
	if b.ended.Err() != nil {
		<-slot
		return nil, nil, balancer.ErrClosed
	}
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(b.ended, func() { cancel(balancer.ErrClosed) })
	return ctx, func() { stop(); cancel(nil); <-slot }, nil
}

// call takes the slot for f, and wraps its error with what was done. An HAProxy
// that does not answer is balancer.ErrUnavailable; a call that Close ended,
// balancer.ErrClosed.
func (b *Balancer) call(ctx context.Context, slot chan struct{}, what string, f func(context.Context) error) error {
	ctx, done, err := b.begin(ctx, slot)
	if err == nil {
		if err = f(ctx); err != nil && errors.Is(context.Cause(ctx), balancer.ErrClosed) {
			err = balancer.ErrClosed
		}
		done()
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errNoAnswer):
		err = fmt.Errorf("%w: %w", balancer.ErrUnavailable, err)
	}
	return fmt.Errorf("haproxy: %s: %w", what, err)
}

// SetFront makes the front be there as f says; see [balancer.Balancer]. A change
// costs a reload of HAProxy, tens of milliseconds.
func (b *Balancer) SetFront(ctx context.Context, f balancer.Front) error {
	if err := f.Validate(); err != nil {
		return fmt.Errorf("haproxy: set front %.60q: %w", f.Name, err)
	}
	return b.call(ctx, b.writing, "set front "+f.Name, func(ctx context.Context) error { return b.setFront(ctx, f.WithDefaults()) })
}

func (b *Balancer) setFront(ctx context.Context, f balancer.Front) error {
	fronts := b.snapshot()
	old := fronts[f.Name]
	if cond, err := b.check(ctx); err != nil {
		return err
	} else if cond == current && old != nil && old.Front == f {
		return nil
	}
	for _, other := range fronts {
		if other.Name != f.Name && canonical(other.Listen) == canonical(f.Listen) {
			return fmt.Errorf("%w: front %s listens on %s", balancer.ErrAddressInUse, other.Name, f.Listen)
		}
	}
	moved := old == nil || canonical(old.Listen) != canonical(f.Listen)
	if moved {
		if err := probe(f.Listen, old != nil && samePort(old.Listen, f.Listen)); err != nil {
			return err
		}
	}
	next := &front{Front: f, servers: map[string]server{}}
	if old != nil {
		next.incarnation, next.servers = old.incarnation, old.servers
	} else {
		next.incarnation = b.incarnate(1)
	}
	fronts[f.Name] = next
	if err := b.deploy(ctx, fronts); err != nil {
		return err
	}
	if old != nil && moved {
		b.awaitFree(ctx, old.Listen)
	}
	return nil
}

// RemoveFront closes the front and forgets its servers; see [balancer.Balancer].
func (b *Balancer) RemoveFront(ctx context.Context, name string) error {
	return b.call(ctx, b.writing, fmt.Sprintf("remove front %.60q", name), func(ctx context.Context) error {
		fronts := b.snapshot()
		old := fronts[name]
		if old == nil {
			return nil
		}
		delete(fronts, name)
		if err := b.deploy(ctx, fronts); err != nil {
			return err
		}
		err := b.cutOld(ctx, func(backend, _ string) bool { return backend == name })
		b.awaitFree(ctx, old.Listen)
		return err
	})
}

// Close releases what the value holds in this program; HAProxy goes on. See
// [balancer.Balancer].
func (b *Balancer) Close() error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		<-b.lat.done
		return nil
	}
	b.closed = true
	b.mu.Unlock()
	b.end()
	b.keeper.Wait()
	b.writing <- struct{}{} // kept: what runs has ended, and nothing begins
	b.reading <- struct{}{}
	for pid := range b.notes {
		b.letGo(pid)
	}
	b.dropListeners()
	return errors.Join(b.lat.close(), unlockDir(b.lock))
}

// Shutdown ends HAProxy: it takes no more connections at once, and what it does
// may finish until the context ends; what then still runs is cut. The fronts
// are kept, so that the next SetFront or Apply would start it again; Close the
// value afterwards. Without an HAProxy that runs it does nothing.
func (b *Balancer) Shutdown(ctx context.Context) error {
	return b.call(ctx, b.writing, "shut down", b.shutdown)
}

// snapshot returns a copy of the map of fronts.
func (b *Balancer) snapshot() map[string]*front {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.fronts)
}

// incarnate returns a fresh incarnation that begins ahead configurations after
// the one that runs.
func (b *Balancer) incarnate(ahead int) incarnation {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nextID++
	return incarnation{inc: b.nextID, born: b.st.Current.Number + ahead}
}

func frontList(fronts map[string]*front) []balancer.Front {
	var out []balancer.Front
	for _, name := range slices.Sorted(maps.Keys(fronts)) {
		out = append(out, fronts[name].Front)
	}
	return out
}
