package inproc

import (
	"golang.org/x/sys/unix"
)

// peek says what a read would return, without reading and without waiting:
// EAGAIN while there is nothing.
func (w *wire) peek() (n int, err error) {
	rc, err := w.SyscallConn()
	if err != nil {
		return 0, err
	}
	var b [1]byte
	var rerr error
	err = rc.Control(func(fd uintptr) {
		for rerr = unix.EINTR; rerr == unix.EINTR; {
			n, _, rerr = unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		}
	})
	if err == nil {
		err = rerr
	}
	return n, err
}

// hungUp says whether the client has closed the connection, as far as is known
// here.
func (c *client) hungUp() bool {
	n, err := c.wire.peek()
	return err == nil && n == 0 || err != nil && err != unix.EAGAIN
}

// spoilt says whether the idle connection cannot take a request: the server
// closed it, or sent what nobody asked for, which would be taken for the answer.
func (u *upstream) spoilt() bool {
	_, err := u.peek()
	return err != unix.EAGAIN
}
