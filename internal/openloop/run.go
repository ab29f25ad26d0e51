package openloop

import (
	"context"
	"errors"
	"net/url"
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
	u, err := url.Parse(c.URL)
	if err != nil {
		return Result{}, err
	}
	e := newExchanger(c, u)
	defer e.transport.CloseIdleConnections()

	l := &load{config: c, exchanger: e, recorder: newRecorder(c, time.Now()), slots: make(chan struct{}, c.MaxInFlight)}
	finished := make(chan struct{})
	var reporting sync.WaitGroup
	if c.Progress != nil {
		reporting.Go(func() { l.report(finished) })
	}
	sending, cut := l.send(ctx)
	l.requests.Wait()
	close(finished)
	reporting.Wait()
	result := l.recorder.finish(sending, int(e.dials.Load()))
	if cut || result.Abandoned > 0 {
		return result, context.Cause(ctx)
	}
	return result, nil
}

type load struct {
	config    Config
	exchanger *exchanger
	recorder  *recorder
	slots     chan struct{} // MaxInFlight; a request holds one
	requests  sync.WaitGroup
}

// send begins each request when it is due, however many are in flight: that is
// what makes the loop open. It returns the time that the requests it sent stand
// for, and whether ctx ended before they were all.
func (l *load) send(ctx context.Context) (sending time.Duration, cut bool) {
	c, began := l.config, l.recorder.result.Began
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
	for sent := 0; ; {
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
			sent++
			number := sent
			l.recorder.sent()
			l.requests.Go(func() { l.request(ctx, number, wake) })
			if sent == c.Requests {
				return s.until(at), false
			}
		case !more:
			return c.Duration, false
		}
	}
}

// request sends a request, counted from 1, once MaxInFlight allows, unless its time is over by
// then.
func (l *load) request(ctx context.Context, number int, due time.Time) {
	timed, cancel := context.WithDeadline(ctx, due.Add(l.config.Timeout))
	defer cancel()
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
	case <-timed.Done():
	}
	o := Outcome{ID: l.config.IDPrefix + "-" + strconv.Itoa(number), At: due}
	lag := time.Since(due)
	if timed.Err() == nil {
		l.exchanger.do(timed, &o)
	} else {
		o.Kind, o.Err = ErrTimeout, errNotSent
	}
	o.Latency = time.Since(due)
	if o.Err != nil && ctx.Err() != nil {
		l.recorder.abandoned()
		return
	}
	l.recorder.record(o, lag)
}

var errNotSent = errors.New("timed out before it could be sent: MaxInFlight requests are in flight")

func (l *load) report(finished <-chan struct{}) {
	t := time.NewTicker(progressEvery)
	defer t.Stop()
	var last Progress
	for {
		done := false
		select {
		case <-t.C:
		case <-finished:
			done = true
		}
		p := l.recorder.progress()
		p.Done = done
		if s := (p.Elapsed - last.Elapsed).Seconds(); s > 0 {
			p.Rate = float64(p.Sent-last.Sent) / s
		}
		l.config.Progress(p)
		last = p
		if done {
			return
		}
	}
}
