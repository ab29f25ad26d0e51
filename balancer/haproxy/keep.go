package haproxy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/elastipod/elastipod/balancer"
)

const (
	// The pause after a start that failed, or was followed by an early end, grows
	// from the first to the last.
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
	// earlyEnd is how soon after its start HAProxy is expected not to end again.
	earlyEnd = 10 * time.Second
)

// keep looks after HAProxy until the value is closed: whatever ends it, it is
// started again with the servers that it had, and one that cannot be asked any
// more is made to listen again.
func (b *Balancer) keep() {
	tend := time.NewTicker(b.cfg.timing.keep)
	defer tend.Stop()
	k := keeper{unwatch: func() {}}
	defer func() { k.unwatch() }()
	for {
		k.watch(b.master())
		var retry <-chan time.Time
		if k.again {
			retry = time.After(k.pause - time.Since(k.began))
		}
		select {
		case <-b.ended.Done():
			return
		case <-tend.C:
			b.tend()
		case <-k.ended:
		case <-b.pokes:
		case <-retry:
		}
		k.look(b)
	}
}

// keeper is what the goroutine that keeps HAProxy running remembers.
type keeper struct {
	watched process
	ended   <-chan struct{} // closed when watched has ended; nil once that is known
	unwatch func()
	began   time.Time // when a start was tried last
	pause   time.Duration
	again   bool // one is to be tried once the pause is over
}

func (k *keeper) watch(p process) {
	if p != k.watched {
		k.unwatch()
		k.watched = p
		k.ended, k.unwatch = p.watch()
	}
}

// poke makes the keeper look now.
func (b *Balancer) poke() {
	select {
	case b.pokes <- struct{}{}:
	default:
	}
}

// look makes HAProxy run, and run what it should, if it does not.
func (k *keeper) look(b *Balancer) {
	alive := b.master().alive()
	if !alive {
		k.ended = nil
	}
	k.again = b.isWanted() && (!alive || b.suspected.Load())
	if !k.again || time.Since(k.began) < k.pause {
		return
	}
	err := b.revive()
	k.again = err != nil
	switch {
	case errors.Is(err, balancer.ErrClosed):
		return
	case err != nil, time.Since(k.began) < earlyEnd:
		k.pause = min(max(2*k.pause, firstPause), lastPause)
	default:
		k.pause = 0
	}
	k.began = time.Now()
}

func (b *Balancer) state() state {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.st
}

func (b *Balancer) master() process { return b.state().Master }

func (b *Balancer) isWanted() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.wanted && len(b.fronts) > 0
}

// revive makes HAProxy run what it should.
func (b *Balancer) revive() error {
	ctx, done, err := b.begin(context.Background(), b.writing)
	if err != nil {
		return err
	}
	defer done()
	if !b.isWanted() {
		return nil // it was shut down meanwhile
	}
	err = b.ensureRunning(ctx)
	if err == nil {
		b.suspected.Store(false)
	}
	return err
}

// tend does what has time: it looks for changes by others of the configuration
// file, and saves what could not be saved.
func (b *Balancer) tend() {
	select {
	case b.writing <- struct{}{}:
	default:
		return // later
	}
	defer func() { <-b.writing }()
	b.lookAtFile()
	if b.unsaved {
		_ = b.setState(b.state()) // or later
	}
}

// The kinds of problems.
const (
	problemProcess = "process" // it does not run as it should
	problemFile    = "file"    // somebody else changed the configuration file
	problemState   = "state"   // what must be kept cannot be saved
)

// setProblem notes what is wrong; nothing, where the sentence is empty. It says
// whether that is new.
func (b *Balancer) setProblem(kind, sentence string) (fresh bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fresh = b.problems[kind] != sentence
	if sentence == "" {
		delete(b.problems, kind)
	} else {
		b.problems[kind] = sentence
	}
	return fresh && sentence != ""
}

// problem returns what is wrong of a kind, or nothing.
func (b *Balancer) problem(kind string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.problems[kind]
}

// happened notes an incident.
func (b *Balancer) happened(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.happen(format, args...)
}

// happen is happened for those who hold mu.
func (b *Balancer) happen(format string, args ...any) {
	b.incidents = append(b.incidents, balancer.Incident{At: time.Now(), Message: fmt.Sprintf(format, args...)})
	if over := len(b.incidents) - balancer.MaxIncidents; over > 0 {
		b.incidents = slices.Delete(slices.Clone(b.incidents), 0, over)
	}
}

// tell adds problems and incidents to an observation.
func (b *Balancer) tell(s *balancer.Stats) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, kind := range []string{problemProcess, problemFile, problemState} {
		if p := b.problems[kind]; p != "" {
			s.Problems = append(s.Problems, p)
		}
	}
	s.Incidents = slices.Clone(b.incidents)
}

// whyEnded returns what HAProxy's output says of the end of its processes.
func (b *Balancer) whyEnded() string {
	for alert := range strings.SplitSeq(b.cfg.outputSince(b.launched), "; ") {
		if _, why, ok := strings.Cut(alert, ": "); ok && strings.Contains(why, "exited with code") {
			return why
		}
	}
	return "it was killed, or ended without a word"
}
