package inproc

import (
	"sync/atomic"
	"time"
)

// pump sends the body of a request to the server while it comes from the
// client, in a goroutine of its own, so that the answer may begin before.
type pump struct {
	x        *exchange
	up       *upstream
	finished chan struct{}
	stopping atomic.Bool

	// Good once finished is closed.
	whole bool  // all of the body was read, and sent
	err   error // errBodyRead or a refusal: the client's fault
}

func startPump(x *exchange, u *upstream) *pump {
	p := &pump{x: x, up: u, finished: make(chan struct{})}
	x.client.waitingSince.Store(0) // the pump sees when the client goes away
	x.front.wg.Go(func() {
		p.run()
		if p.whole {
			x.client.waitingSince.Store(time.Now().UnixNano())
		}
		close(p.finished)
		if p.err != nil {
			_ = u.Close() // wakes the one who reads the answer
		}
	})
	return p
}

func (p *pump) done() bool {
	select {
	case <-p.finished:
		return true
	default:
		return false
	}
}

// soon waits a moment for the pump to finish, and says whether it did.
func (p *pump) soon() bool {
	t := time.NewTimer(5 * time.Millisecond)
	defer t.Stop()
	select {
	case <-p.finished:
		return true
	case <-t.C:
		return false
	}
}

// end waits for the pump, which it stops where it still runs. whole says that
// the body was read to its end. err is of the client.
func (p *pump) end() (whole bool, err error) {
	if !p.done() {
		p.stopping.Store(true)
		past := time.Unix(1, 0)
		_ = p.x.client.wire.SetReadDeadline(past)
		_ = p.up.SetWriteDeadline(past)
		<-p.finished
		p.x.client.wire.readBy, p.up.writeBy = time.Time{}, time.Time{} // both are set anew
		return p.whole, nil
	}
	return p.whole, p.err
}

// run copies the body. A server that does not take it is none of the client's
// faults: it may have answered.
func (p *pump) run() {
	if p.x.req.chunked {
		p.chunks()
	} else {
		p.length(p.x.req.length)
	}
}

func (p *pump) read() bool {
	c := p.x.client
	if !p.stopping.Load() {
		c.wire.readWithin(time.Now(), p.x.set.Timeouts.Client)
	}
	if err := c.in.fill(len(c.in.buf)); err != nil {
		switch {
		case p.stopping.Load(): // an answer came first
		case !timedOut(err):
			p.err = errBodyRead
		default:
			p.err = &refusal{408, "the body did not come in time"}
		}
		return false
	}
	return true
}

func (p *pump) write(b []byte) bool {
	p.up.writeWithin(time.Now(), p.x.set.Timeouts.Server)
	_, err := p.up.Write(b)
	return err == nil
}

func (p *pump) length(left int64) {
	in := &p.x.client.in
	if left > int64(len(in.buf)) && len(in.buf) < bulkBuffer {
		in.resize(bulkBuffer)
	}
	for left > 0 {
		if len(in.buffered()) == 0 && !p.read() {
			return
		}
		b := in.buffered()
		if int64(len(b)) > left {
			b = b[:left]
		}
		if !p.write(b) {
			return
		}
		in.consume(len(b))
		left -= int64(len(b))
	}
	p.whole = true
}

func (p *pump) chunks() {
	in := &p.x.client.in
	if len(in.buf) < serverBuffer {
		in.resize(serverBuffer)
	}
	var d dechunker
	var out []byte
	for {
		piece, more, err := d.next(in)
		switch {
		case err != nil:
			p.err = errChunk
			return
		case len(piece) > 0:
			out = appendChunk(out, piece)
			if len(out) < serverBuffer {
				continue
			}
		case more:
			if len(out) == 0 {
				if !p.read() {
					return
				}
				continue
			}
		default:
			out = appendLastChunk(out, d.trailers)
			p.whole = p.write(out)
			return
		}
		if !p.write(out) {
			return
		}
		out = out[:0]
	}
}
