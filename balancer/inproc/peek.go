package inproc

import (
	"golang.org/x/sys/unix"
)

// hungUp says whether the other side has closed the connection, as far as is
// known here, without reading from it and without waiting.
func (w *wire) hungUp() bool {
	rc, err := w.SyscallConn()
	if err != nil {
		return true
	}
	gone := false
	err = rc.Control(func(fd uintptr) {
		var b [1]byte
		for {
			n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
			if err == unix.EINTR {
				continue
			}
			gone = err == nil && n == 0 || err != nil && err != unix.EAGAIN
			return
		}
	})
	return gone || err != nil
}

// spoilt says whether the idle connection cannot take a request: the server
// closed it, or sent what nobody asked for, which would be taken for the answer.
func (u *upstream) spoilt() bool {
	rc, err := u.SyscallConn()
	if err != nil {
		return true
	}
	open := false
	err = rc.Control(func(fd uintptr) {
		var b [1]byte
		_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		open = err == unix.EAGAIN
	})
	return !open || err != nil
}

func (c *client) hungUp() bool { return c.wire.hungUp() }
