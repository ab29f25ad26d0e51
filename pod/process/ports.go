package process

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// reservePort returns a free port, and a file that reserves it among all nodes
// of this machine, whoever manages them, until it is closed by us and by the
// supervisor that inherits it.
//
// The reservation is a socket of an abstract name: it lives in the network
// namespace, as ports do, ends with its holder, and does not stand in the way of
// a program that opens the port without SO_REUSEADDR.
func reservePort(low, high int) (int, *os.File, error) {
	n := high - low + 1
	first := rand.IntN(n)
	for i := range n {
		port := low + (first+i)%n
		f, err := reserve(port)
		if errors.Is(err, unix.EADDRINUSE) {
			continue
		}
		return port, f, err
	}
	return 0, nil, fmt.Errorf("no free port in %d to %d: %w", low, high, unix.EADDRINUSE)
}

func reserve(port int) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("reserve port: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: "@elastipod-port-" + strconv.Itoa(port)}); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("reserve port: %w", err)
	}
	l, err := net.Listen("tcp", ":"+strconv.Itoa(port)) // does another program have it?
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("reserve port: %w", err)
	}
	_ = l.Close()
	return os.NewFile(uintptr(fd), "port"), nil
}
