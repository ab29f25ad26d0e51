package openloop

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"
)

// lookAhead is how far ahead of the clock the schedule is computed where the
// rate is 0.
const lookAhead = time.Second

// Run sends the load and returns once every request has ended: at the latest
// Timeout after the last one was sent. When ctx ends first it returns at once,
// with what came of the load until then and the context's error; requests in
// flight are abandoned. A request that fails is no error of Run; a wrong
// configuration is, and then nothing was sent.
func Run(ctx context.Context, c Config) (Result, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return Result{}, err
	}
	e, err := newExchanger(c)
	if err != nil {
		return Result{}, err
	}
	defer e.close()

	began := time.Now()
	r := newRecorder(c, began)
	p := newPool(c.MaxInFlight, func(a arrival) { serve(ctx, c, e, r, a) })
	finished := make(chan struct{})
	var reporting sync.WaitGroup
	if c.Progress != nil {
		reporting.Go(func() { report(c, r, finished) })
	}

	sending, cut := send(ctx, c, r, p, began)
	p.close()
	close(finished)
	reporting.Wait()
	result := r.finish(sending, int(e.dials.Load()))
	if cut || result.Abandoned > 0 {
		return result, context.Cause(ctx)
	}
	return result, nil
}

// send puts each request into the pool when it is due. It returns the time that
// the requests it sent stand for, and whether ctx ended before they were all.
func send(ctx context.Context, c Config, r *recorder, p *pool, began time.Time) (sending time.Duration, cut bool) {
	s := newSchedule(c)
	timer := time.NewTimer(0)
	defer timer.Stop()
	sleep := func(until time.Time) bool {
		if d := time.Until(until); d > napFrom {
			timer.Reset(d - napFrom)
			select {
			case <-timer.C:
			case <-ctx.Done():
			case <-c.Stop:
			}
		}
		select {
		case <-ctx.Done():
			return false
		case <-c.Stop:
			return false
		default:
		}
		if d := time.Until(until); d > 0 {
			nap(d)
		}
		return true
	}
	for n := 1; ; {
		horizon := time.Since(began) + lookAhead
		at, ok, more := s.next(horizon)
		wake := began.Add(at)
		switch {
		case !ok && more:
			wake = began.Add(horizon - lookAhead/2)
		case !ok:
			wake = began.Add(c.Duration) // a rate is over the whole time
		}
		if !sleep(wake) {
			return time.Since(began), ctx.Err() != nil
		}
		switch {
		case ok:
			r.sent()
			p.put(arrival{number: n, due: wake})
			if n == c.Requests {
				return s.until(at), false
			}
			n++
		case !more:
			return c.Duration, false
		}
	}
}

// serve sends the request, unless its time is over already.
func serve(ctx context.Context, c Config, e *exchanger, r *recorder, a arrival) {
	id := c.IDPrefix + "-" + strconv.Itoa(a.number)
	lag := time.Since(a.due)
	if ctx.Err() == nil && lag >= c.Timeout {
		r.lagged(lag)
		r.record(Outcome{ID: id, At: a.due, Latency: lag, Kind: ErrTimeout, Err: errNotSent})
		return
	}
	if ctx.Err() != nil {
		r.abandoned(id)
		return
	}
	r.lagged(lag)
	o := e.do(ctx, id, a.due)
	if o.Err != nil && ctx.Err() != nil {
		r.abandoned(id)
		return
	}
	r.record(o)
}

var errNotSent = errors.New("timed out before it could be sent: MaxInFlight requests are in flight")

func report(c Config, r *recorder, finished <-chan struct{}) {
	t := time.NewTicker(c.ProgressEvery)
	defer t.Stop()
	var last Progress
	for {
		done := false
		select {
		case <-t.C:
		case <-finished:
			done = true
		}
		p := r.progress()
		p.Done = done
		if s := (p.Elapsed - last.Elapsed).Seconds(); s > 0 {
			p.Rate = float64(p.Sent-last.Sent) / s
		}
		c.Progress(p)
		last = p
		if done {
			return
		}
	}
}
