package haproxy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/elastipod/elastipod/balancer"
)

// probe says whether HAProxy could listen on the address, by binding it for a
// moment without listening, so that no client notices. HAProxy itself binds in
// a way (SO_REUSEPORT) that would share the address with another HAProxy, and
// says little about why a reload failed. shared allows listeners of this user
// that share, which is how a front may go from 127.0.0.1:80 to 0.0.0.0:80.
func probe(addr string, shared bool) error {
	ap, err := netip.ParseAddrPort(canonical(addr))
	if err != nil {
		return fmt.Errorf("listen on %s: %w", addr, err)
	}
	family, sa := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(ap.Port())})
	if ap.Addr().Is4() {
		sa.(*unix.SockaddrInet4).Addr = ap.Addr().As4()
	} else {
		family, sa = unix.AF_INET6, &unix.SockaddrInet6{Port: int(ap.Port()), Addr: ap.Addr().As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", addr, err)
	}
	defer func() { _ = unix.Close(fd) }()
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if shared {
		err = errors.Join(err, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
	}
	if err == nil {
		err = unix.Bind(fd, sa)
	}
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("%w: another program listens on %s", balancer.ErrAddressInUse, addr)
	case err != nil:
		return fmt.Errorf("listen on %s: %w", addr, err)
	}
	return nil
}

func samePort(a, b string) bool {
	x, errX := netip.ParseAddrPort(a)
	y, errY := netip.ParseAddrPort(b)
	return errX == nil && errY == nil && x.Port() == y.Port()
}

// awaitFree waits until old workers have let go of an address, which they do
// within milliseconds of a reload. Another program may have it by then, so that
// giving up is no error.
func (b *Balancer) awaitFree(ctx context.Context, addr string) {
	for _, fr := range b.snapshot() {
		if samePort(fr.Listen, addr) {
			return // a front of ours has moved there, or covers it
		}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_ = poll(ctx, func() (bool, error) { return !errors.Is(probe(addr, false), balancer.ErrAddressInUse), nil })
}
