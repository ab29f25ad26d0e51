package openloop

import (
	"sync"
	"time"
)

// arrival is a request that is due.
type arrival struct {
	number int // from 1
	due    time.Time
}

// pool hands arrivals to at most max goroutines, in order. It never blocks who
// puts one in: that is what makes the loop open.
type pool struct {
	max  int
	work func(arrival)

	mu      sync.Mutex
	ready   *sync.Cond
	queue   []arrival
	idle    int
	workers int
	closed  bool
	wg      sync.WaitGroup
}

func newPool(max int, work func(arrival)) *pool {
	p := &pool{max: max, work: work}
	p.ready = sync.NewCond(&p.mu)
	return p
}

func (p *pool) put(a arrival) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = append(p.queue, a)
	if p.idle >= len(p.queue) {
		p.ready.Signal()
	} else if p.workers < p.max {
		p.workers++
		p.wg.Go(p.run)
	}
}

// close lets the goroutines end once nothing is queued, and waits for them.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.ready.Broadcast()
	p.mu.Unlock()
	p.wg.Wait()
}

func (p *pool) run() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		for len(p.queue) == 0 && !p.closed {
			p.idle++
			p.ready.Wait()
			p.idle--
		}
		if len(p.queue) == 0 {
			return
		}
		a := p.queue[0]
		p.queue = p.queue[1:]
		p.mu.Unlock()
		p.work(a)
		p.mu.Lock()
	}
}
