package inproc

import (
	"io"
	"time"
)

// answer reads the server's answer and passes it on to the client. clean says
// that the server's connection is at the end of the answer and stays.
func (x *exchange) answer(u *upstream, now time.Time) (clean bool, err error) {
	for {
		if err := x.readAnswerHead(u, now); err != nil {
			return false, err
		}
		if x.res.status >= 200 || x.res.status == 101 {
			break
		}
		if !x.req.http10 {
			x.out = x.res.appendTo(x.out[:0], &x.req, true, nil)
			if err := x.flush(); err != nil {
				return false, err
			}
			x.begun = false // the answer itself did not begin
		}
		now = time.Now()
	}
	if x.res.status == 101 {
		return false, x.upgrade(u)
	}
	x.statusOf = x.res.status
	if x.pump != nil && !x.pump.done() {
		// An answer before the end of the request: whether the rest of it is read
		// is known only later, so this connection is not used again.
		x.keep = x.keep && x.pump.soon()
	}
	x.out = x.res.appendTo(x.out[:0], &x.req, x.keep && x.res.deliver(&x.req) != byClose, x.front.shared.dateField(now))
	if x.res.deliver(&x.req) == byClose {
		x.keep = false
	}
	if err := x.passBody(u); err != nil {
		return false, err
	}
	return x.res.keeps() && len(x.from.buffered()) == 0 && (x.res.length >= 0 || x.res.chunked || x.res.bodyless(&x.req)), nil
}

// readAnswerHead reads and parses a head of the server.
func (x *exchange) readAnswerHead(u *upstream, now time.Time) error {
	seen := 0
	for {
		b := x.from.buffered()
		end, next, err := scanHead(b, seen)
		switch {
		case err != nil:
			return errResponse
		case end > 0:
			x.from.consume(end)
			if x.res.parse(b[:end]) != nil || x.res.status == 101 && (x.req.upgradeTo == nil || x.res.upgradeTo == nil) {
				return errResponse
			}
			return nil
		}
		seen = next
		u.readWithin(now, x.set.Timeouts.Server)
		if err := x.from.fill(x.front.cfg.MaxHeaderBytes); err != nil {
			switch {
			case timedOut(err) && x.from.w > 0:
				return errHalfHead
			case timedOut(err):
				return errSilent
			case err == errHeadSize, x.from.w > 0:
				return errResponse
			}
			return errNoAnswer
		}
		now = time.Now()
	}
}

// flush writes what is in out to the client.
func (x *exchange) flush() error {
	err := x.write(x.out)
	x.out = x.out[:0]
	return err
}

func (x *exchange) write(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	c := x.client
	c.wire.writeWithin(time.Now(), x.set.Timeouts.Client)
	x.begun = true
	if _, err := c.wire.Write(b); err != nil {
		return errClientWrite
	}
	return nil
}

// passBody passes the body on, behind the head, which is in out.
func (x *exchange) passBody(u *upstream) error {
	switch d := x.res.deliver(&x.req); {
	case d == noBody && (!x.res.chunked || x.res.bodyless(&x.req)):
		return x.flush()
	case x.res.chunked:
		return x.passChunks(u, d == byChunks)
	case x.res.length >= 0:
		return x.passLength(u)
	default:
		return x.passUntilClose(u, d == byChunks)
	}
}

// more reads more of the answer. What is in out goes first: the client gets
// what there is before we wait.
func (x *exchange) more(u *upstream) error {
	if err := x.flush(); err != nil {
		return err
	}
	u.readWithin(time.Now(), x.set.Timeouts.Server)
	return x.from.fill(len(x.from.buf))
}

func (x *exchange) passLength(u *upstream) error {
	left := x.res.length
	b := x.from.buffered()
	if int64(len(b)) > left {
		b = b[:left]
	}
	x.from.consume(len(b))
	left -= int64(len(b))
	x.out = append(x.out, b...)
	if left > 2*serverBuffer {
		return x.passBulk(u, left)
	}
	for left > 0 {
		if err := x.more(u); err != nil {
			return orBroken(err)
		}
		b := x.from.buffered()
		if int64(len(b)) > left {
			b = b[:left]
		}
		if err := x.write(b); err != nil {
			return err
		}
		x.from.consume(len(b))
		left -= int64(len(b))
	}
	return x.flush()
}

// passBulk passes on the rest of a long body, of which nothing is buffered.
func (x *exchange) passBulk(u *upstream, left int64) error {
	if err := x.flush(); err != nil {
		return err
	}
	buf := x.front.shared.bulk.Get().(*[bulkBuffer]byte)
	defer x.front.shared.bulk.Put(buf)
	for left > 0 {
		u.readWithin(time.Now(), x.set.Timeouts.Server)
		n, err := u.Read(buf[:min(left, bulkBuffer)])
		left -= int64(n)
		if werr := x.write(buf[:n]); werr != nil {
			return werr
		}
		if err != nil && left > 0 {
			return errBroken
		}
	}
	return nil
}

func orBroken(err error) error {
	if err == errClientWrite {
		return err
	}
	return errBroken
}

func (x *exchange) passChunks(u *upstream, rechunk bool) error {
	var d dechunker
	for {
		piece, more, err := d.next(&x.from)
		switch {
		case err != nil:
			_ = x.flush()
			return errBroken
		case len(piece) > 0 && rechunk:
			x.out = appendChunk(x.out, piece)
		case len(piece) > 0:
			x.out = append(x.out, piece...)
		case more:
			if err := x.more(u); err != nil {
				return orBroken(err)
			}
		default:
			if rechunk {
				x.out = appendLastChunk(x.out, d.trailers)
			}
			return x.flush()
		}
		if len(x.out) > serverBuffer {
			if err := x.flush(); err != nil {
				return err
			}
		}
	}
}

func (x *exchange) passUntilClose(u *upstream, chunk bool) error {
	for {
		if b := x.from.buffered(); len(b) > 0 {
			if chunk {
				x.out = appendChunk(x.out, b)
			} else {
				x.out = append(x.out, b...)
			}
			x.from.consume(len(b))
		}
		err := x.more(u)
		if err == io.EOF {
			if chunk {
				x.out = appendLastChunk(x.out, nil)
			}
			return x.flush()
		}
		if err != nil {
			return orBroken(err)
		}
	}
}
