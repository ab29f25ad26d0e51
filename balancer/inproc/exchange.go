package inproc

import (
	"errors"
	"slices"
	"syscall"
	"time"

	"github.com/elastipod/elastipod/balancer"
)

// exchange is one request and its answer, with the buffers that they need.
// Exchanges are used again.
type exchange struct {
	client *client
	front  *front
	set    *balancer.Front
	start  time.Time

	req   request
	head  []byte // the request's, for servers, and a body that is small
	body  []byte // a body that was read before it is sent, unless head holds it
	pump  *pump  // sends the body where it is not here yet; nil: not begun, or none
	tried []*server
	fresh bool // no connection that was used before

	res      response
	from     reader // the server's answer
	out      []byte
	begun    bool // a byte of the answer went to the client
	statusOf int  // what it was answered
	keep     bool // the client's connection stays
	linger   bool // the client still sends what nobody reads
	tunnel   bool // it became one: its duration says nothing
}

func newExchange() *exchange {
	return &exchange{
		head: make([]byte, 0, clientBuffer),
		from: reader{buf: make([]byte, serverBuffer)},
		out:  make([]byte, 0, serverBuffer+1024),
	}
}

func (x *exchange) recycle() {
	sh := x.front.shared
	clear(x.tried)
	from := x.from.buf
	if len(from) > serverBuffer {
		from = make([]byte, serverBuffer)
	}
	if cap(x.out) > 2*serverBuffer {
		x.out = nil
	}
	if cap(x.head) > 2*serverBuffer {
		x.head = nil
	}
	if cap(x.req.fields) > 2*maxFields || cap(x.res.fields) > 2*maxFields {
		x.req.fields, x.res.fields = nil, nil
	}
	*x = exchange{
		req:   request{fields: x.req.fields[:0]},
		res:   response{fields: x.res.fields[:0]},
		head:  x.head[:0],
		tried: x.tried[:0],
		from:  reader{buf: from},
		out:   x.out[:0],
	}
	sh.exchanges.Put(x)
}

// Why an attempt came to nothing.
var (
	errConnectFailed = errors.New("inproc: cannot connect")
	errNotSent       = errors.New("inproc: nothing was sent")
	errNoAnswer      = errors.New("inproc: no answer")
	errSilent        = errors.New("inproc: no answer in time")
	errHalfHead      = errors.New("inproc: the answer stopped in its header")
	errBodyRead      = errors.New("inproc: the client did not send the body")
	errBroken        = errors.New("inproc: the answer broke off")
	errClientWrite   = errors.New("inproc: the client does not take the answer")
)

// run serves the request, and returns whether the connection takes another.
func (x *exchange) run() bool {
	f, c := x.front, x.client
	x.start = time.Now()
	f.requests.Add(1)
	f.inFlight.Add(1)
	defer f.inFlight.Add(-1)
	x.keep = x.req.keeps() && !f.closing.Load()
	x.head = x.req.appendTo(x.head, c.forwarded, x.set.Listen)

	err := x.readSmallBody()
	if err == nil {
		c.waitingSince.Store(x.start.UnixNano())
		err = x.attempts()
		c.waitingSince.Store(0)
	}
	if err != nil {
		x.fail(err)
	}
	if x.statusOf >= 500 {
		f.errors.Add(1)
	}
	if !x.tunnel {
		f.latency.record(c.shard, time.Since(x.start))
	}
	if x.linger {
		c.linger()
	}
	return x.keep
}

// readSmallBody reads a body that may have to be sent twice. Others stream.
func (x *exchange) readSmallBody() error {
	r := &x.req
	if r.chunked || r.length <= 0 || r.length > replayable || r.expects {
		return nil
	}
	n := int(r.length)
	in := &x.client.in
	for len(in.buffered()) < n {
		x.client.wire.readWithin(time.Now(), x.set.Timeouts.Client)
		if err := in.fill(x.front.cfg.MaxHeaderBytes + replayable); err != nil {
			if timedOut(err) {
				return &refusal{408, "the body did not come in time"}
			}
			return errBodyRead
		}
	}
	x.body = in.buffered()[:n]
	in.consume(n)
	if n <= serverBuffer-len(x.head) {
		x.head = append(x.head, x.body...)
		x.body = nil
	}
	return nil
}

// streams says whether the body is sent while it comes.
func (x *exchange) streams() bool {
	return x.req.chunked || x.req.length > replayable || x.req.expects && x.req.length > 0
}

// attempts tries servers until one has answered, or none may be tried any more.
func (x *exchange) attempts() error {
	repeatable := x.req.idempotent || x.set.RetryNonIdempotent
	stale := false // a connection used before was found closed: that is free, once
	for attempt := 0; ; {
		s, err := x.front.acquire(x.client, x.tried)
		if err != nil {
			return err
		}
		reused, err := x.attempt(s, repeatable)
		failed := x.statusOf >= 500 || err != nil && !clientFault(err) && !x.client.isGone()
		x.front.release(s, failed)
		if err == nil {
			return nil
		}
		if x.client.isGone() {
			return errGone
		}
		again := false
		switch err {
		case errConnectFailed, errNotSent:
			again = x.pump == nil
		case errNoAnswer, errSilent:
			again = x.pump == nil && repeatable
		}
		if !again {
			return err
		}
		if reused && !stale && (err == errNotSent || err == errNoAnswer && x.set.Retries > 0) {
			stale, x.fresh = true, true
			s.dropIdle()
			continue
		}
		if attempt++; attempt > x.set.Retries {
			return err
		}
		if slices.Contains(x.tried, s) {
			// There is no other: give it a moment.
			if err == errSilent {
				return err
			}
			if !x.client.pause(time.Duration(attempt) * 20 * time.Millisecond) {
				return errGone
			}
			continue
		}
		x.tried = append(x.tried, s)
	}
}

// pause waits, and returns false when the client went away.
func (c *client) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.wake:
		return false
	}
}

func clientFault(err error) bool {
	var r *refusal
	return err == errBodyRead || err == errClientWrite || err == errGone || errors.As(err, &r) && r.status < 500
}

// recently is how long an idle connection is trusted with a request that must
// not run twice.
const recently = time.Second

// attempt has the server answer. An error that is not of the client says that
// no answer, or half of one, came.
func (x *exchange) attempt(s *server, repeatable bool) (reused bool, err error) {
	c := x.client
	var u *upstream
	if !x.fresh {
		var since time.Time
		if !repeatable || x.streams() || x.set.Retries <= 0 {
			since = x.start.Add(-recently)
		}
		for u = s.takeIdle(since); u != nil && u.spoilt(); u = s.takeIdle(since) {
			s.discard(u)
		}
	}
	reused = u != nil
	if u == nil {
		if u, err = s.connect(x.set.Timeouts.Connect); err != nil {
			if s.ctx.Err() == nil {
				x.front.markDown(s)
			}
			return false, errConnectFailed
		}
	}
	if !c.using(u) {
		s.discard(u)
		return reused, errGone
	}
	clean, err := x.converse(u)
	c.using(nil)
	if clean && err == nil && !c.isGone() {
		s.putIdle(u, time.Now())
	} else {
		s.discard(u)
	}
	return reused, err
}

// converse sends the request and passes the answer on. clean says that the
// connection takes another request.
func (x *exchange) converse(u *upstream) (clean bool, err error) {
	now := time.Now()
	u.writeWithin(now, x.set.Timeouts.Server)
	n, err := u.Write(x.head)
	if err == nil && len(x.body) > 0 {
		_, err = u.Write(x.body)
	}
	if err != nil && n == 0 && !errors.Is(err, syscall.ETIMEDOUT) && !timedOut(err) {
		return false, errNotSent
	}
	// What could not be sent in full may have been answered all the same.
	broken := err != nil
	if x.streams() && !broken {
		x.pump = startPump(x, u)
	}
	x.from.src, x.from.r, x.from.w = &u.wire, 0, 0
	clean, err = x.answer(u, now)
	if x.pump != nil {
		whole, perr := x.pump.end()
		if !whole {
			clean, x.keep = false, false
			x.linger = err == nil
		}
		if perr != nil && err != nil {
			err = perr
		}
	}
	return clean && !broken, err
}

// fail ends a request that got no answer, or half of one.
func (x *exchange) fail(err error) {
	c := x.client
	if x.begun || err == errGone || err == errBodyRead || err == errClientWrite {
		if !clientFault(err) {
			x.statusOf = 502
		}
		x.keep = false
		return
	}
	var r *refusal
	if !errors.As(err, &r) {
		switch err {
		case errNoServer:
			r = &refusal{503, "no server is ready"}
		case errQueue:
			r = &refusal{503, "no server had room in time"}
		case errConnectFailed:
			r = &refusal{503, "no server could be reached"}
		case errSilent, errHalfHead:
			r = &refusal{504, "the server did not answer in time"}
		case errResponse:
			r = &refusal{502, "the server's answer is malformed"}
		default:
			r = &refusal{502, "the server gave no answer"}
		}
	}
	x.statusOf = r.status
	unread := x.req.chunked && x.pump == nil || x.streams() && x.pump == nil || r.status == 408
	if unread {
		x.keep = false
	}
	now := time.Now()
	c.wire.writeWithin(now, x.set.Timeouts.Client)
	x.out = appendAnswer(x.out[:0], r.status, r.why, x.req.isHead, x.req.http10, x.keep, x.front.shared.dateField(now))
	_, err = c.wire.Write(x.out)
	x.keep = x.keep && err == nil
	x.linger = err == nil && !x.keep && x.req.hasBody()
}
