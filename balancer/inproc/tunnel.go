package inproc

import (
	"io"
	"net"
	"time"
)

// upgrade passes a 101 on, and then bytes both ways until both sides have
// ended. A side that ends only what it sends (half close) still gets the rest.
func (x *exchange) upgrade(u *upstream) error {
	c := x.client
	x.statusOf, x.tunnel, x.keep = 101, true, false
	c.waitingSince.Store(0) // from here on the client is read from
	x.out = x.res.appendTo(x.out[:0], &x.req, true, nil)
	x.out = append(x.out, x.from.buffered()...)
	if err := x.flush(); err != nil {
		return err
	}
	// No time-outs: who is silent for long is not gone, and TCP's keep-alive
	// finds those who are.
	c.wire.readBefore(time.Time{})
	c.wire.writeBy = time.Time{}
	_ = c.wire.SetDeadline(time.Time{})
	u.readBy, u.writeBy = time.Time{}, time.Time{}
	_ = u.SetDeadline(time.Time{})

	up := make(chan struct{})
	x.front.wg.Go(func() {
		defer close(up)
		if b := c.in.buffered(); len(b) > 0 {
			if _, err := u.Write(b); err != nil {
				return
			}
			c.in.consume(len(b))
		}
		shovel(u.TCPConn, c.wire.TCPConn)
	})
	shovel(c.wire.TCPConn, u.TCPConn)
	// A client that does not end, now that the server has, is not waited for long.
	_ = c.wire.SetReadDeadline(time.Now().Add(x.set.Timeouts.Client))
	<-up
	return nil
}

// shovel copies until src ends, and then ends dst; on an error, both.
func shovel(dst, src *net.TCPConn) {
	if _, err := io.Copy(dst, src); err != nil {
		_ = dst.Close()
		_ = src.Close()
		return
	}
	_ = dst.CloseWrite()
}
