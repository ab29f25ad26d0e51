package inproc

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Sizes of buffers, in bytes. Those of a connection without a request are small.
const (
	clientBuffer = 2 << 10
	serverBuffer = 16 << 10
	bulkBuffer   = 128 << 10
	replayable   = 64 << 10 // the greatest body that is read before it is sent
)

// client is a connection from a client, served by one goroutine. A second one
// sends the body of a request that is not small, while the first reads the
// answer.
type client struct {
	front     *front
	wire      wire
	in        reader
	hash      uint64 // of its address
	shard     int    // of the latencies
	forwarded []byte // what servers are told of it, up to "X-Forwarded-Host: "
	wake      chan struct{}

	idle         atomic.Bool  // no request runs: it may be closed
	waitingSince atomic.Int64 // Unix ns since when nothing is read from the client though a request runs; 0: none

	mu   sync.Mutex
	gone bool      // what runs is to end
	up   *upstream // what the request is waiting for
}

func newClient(f *front, c *net.TCPConn) *client {
	ip := c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap().WithZone("").String()
	cl := &client{
		front:     f,
		wire:      wire{TCPConn: c},
		hash:      hashString(ip),
		shard:     f.latency.shard(),
		forwarded: []byte("X-Forwarded-For: " + ip + "\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: "),
		wake:      make(chan struct{}, 1),
	}
	cl.in.src = &cl.wire
	return cl
}

// abort ends what runs for the client, from another goroutine.
func (c *client) abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return
	}
	c.gone = true
	if c.up != nil {
		_ = c.up.Close()
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// using says what the request waits for, so that abort can end it. It returns
// false when it is too late.
func (c *client) using(u *upstream) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.up = u
	return !c.gone
}

func (c *client) isGone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gone
}

// serve serves the connection until its end.
func (c *client) serve() {
	defer c.front.forget(c)
	defer func() { _ = c.wire.Close() }()
	c.in.buf = make([]byte, clientBuffer)
	for c.next() {
		if len(c.in.buf) > serverBuffer && len(c.in.buffered()) <= clientBuffer {
			c.in.resize(clientBuffer)
		}
	}
}

// next waits for a request and serves it. It returns false when it was the last.
func (c *client) next() bool {
	head, err := c.readHead()
	var bad *refusal
	switch {
	case err == nil:
	case errors.As(err, &bad):
		c.refuse(bad)
		return false
	default:
		return false
	}
	x := c.front.shared.exchanges.Get().(*exchange)
	x.client, x.front, x.set = c, c.front, c.front.settings.Load()
	defer x.recycle()
	if bad := x.req.parse(head); bad != nil {
		c.refuse(bad)
		return false
	}
	c.in.consume(len(head))
	return x.run()
}

var errIdle = errors.New("inproc: no request came")

// readHead returns the next head, which stays in the buffer. On a connection
// without one it waits for as long as a client may be idle.
func (c *client) readHead() ([]byte, error) {
	if len(c.in.buffered()) == 0 {
		if err := c.awaitRequest(); err != nil {
			return nil, err
		}
	}
	exact := false // a deadline for the whole head was set
	seen := 0
	for {
		b := c.in.buffered()
		if seen == 0 {
			// Empty lines before a request are tolerated (RFC 9112, 2.2).
			for len(b) >= 2 && b[0] == '\r' && b[1] == '\n' {
				c.in.consume(2)
				b = b[2:]
			}
			if len(b) > 0 && class[b[0]]&isToken == 0 && (b[0] != '\r' || len(b) > 1) {
				return nil, errRequestLine
			}
		}
		end, next, err := scanHead(b, seen)
		switch {
		case err != nil:
			return nil, err
		case end > c.front.cfg.MaxHeaderBytes:
			return nil, errHeadSize
		case end > 0:
			return b[:end], nil
		}
		seen = next
		if !exact {
			exact = true
			c.wire.readBefore(time.Now().Add(c.front.cfg.ReadHeaderTimeout))
		}
		if err := c.in.fill(c.front.cfg.MaxHeaderBytes + 1); err != nil {
			if timedOut(err) && len(c.in.buffered()) > 0 {
				return nil, &refusal{408, "the header did not come in time"}
			}
			return nil, err
		}
	}
}

// awaitRequest waits for the first bytes of a request.
func (c *client) awaitRequest() error {
	c.idle.Store(true)
	defer c.idle.Store(false)
	if c.front.closing.Load() {
		return errIdle
	}
	c.wire.readWithin(time.Now(), c.front.settings.Load().Timeouts.Client)
	return c.in.fill(c.front.cfg.MaxHeaderBytes + 1)
}

// refuse answers a request that cannot be read, after which nothing on the
// connection can be.
func (c *client) refuse(r *refusal) {
	c.wire.writeWithin(time.Now(), c.front.settings.Load().Timeouts.Client)
	if _, err := c.wire.Write(appendAnswer(nil, r.status, r.why, false, false, false, c.front.shared.dateField(time.Now()))); err == nil {
		c.linger()
	}
}

// linger reads for a moment what the client still sends: a connection that is
// closed with bytes unread is reset, and the answer may be lost.
func (c *client) linger() {
	if c.wire.CloseWrite() != nil {
		return
	}
	c.wire.readBefore(time.Now().Add(500 * time.Millisecond))
	_, _ = io.CopyN(io.Discard, c.wire.TCPConn, 256<<10)
}
