package haproxy

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// A worker that dies takes its connections with it, but need not take its
// listening sockets: this program has a duplicate of each, so that the system
// goes on taking connections, which wait. The next HAProxy gets them the way in
// which HAProxy gets those of a predecessor: it asks "_getsocks" on a unix
// socket, and they come as rights of messages.

// keptSocket is where the next HAProxy asks.
const keptSocket = "kept.sock"

// askForSockets is what a new HAProxy says to one that has sockets.
const askForSockets = "_getsocks\n"

// socketsAtOnce is how many sockets HAProxy takes in one message.
const socketsAtOnce = 253

// listeners are duplicates of listening sockets, by address. They are bare
// descriptors: what they say of themselves, such as that they do not block, is
// said of those of HAProxy too.
type listeners map[string]int

func (l listeners) close() {
	for _, fd := range l {
		_ = unix.Close(fd)
	}
}

// takeListeners returns duplicates of the listening sockets on addresses of the
// network that the newest worker has.
func (c Config) takeListeners(ctx context.Context) (listeners, error) {
	conn, err := dial(ctx, c.socket(statsSocket))
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	defer bound(ctx, conn)()
	u := conn.(*net.UnixConn)
	if _, err := io.WriteString(u, askForSockets); err != nil {
		return nil, socketError(ctx, err)
	}
	var count uint32
	var word [4]byte
	if _, err := io.ReadFull(u, word[:]); err != nil {
		return nil, socketError(ctx, err)
	}
	if count = binary.NativeEndian.Uint32(word[:]); count > 1<<16 {
		return nil, fmt.Errorf("haproxy: %d listening sockets", count)
	}
	out := listeners{}
	names, rights := make([]byte, 64<<10), make([]byte, unix.CmsgSpace(4*socketsAtOnce))
	for got := uint32(0); got < count; {
		n, oobn, _, _, err := u.ReadMsgUnix(names, rights)
		if err == nil && n == 0 && oobn == 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			out.close()
			return nil, socketError(ctx, err)
		}
		messages, err := unix.ParseSocketControlMessage(rights[:oobn])
		before := got
		for _, m := range messages {
			fds, rerr := unix.ParseUnixRights(&m)
			err = errors.Join(err, rerr)
			for _, fd := range fds {
				out.add(fd)
			}
			got += uint32(len(fds))
		}
		if err == nil && got == before {
			err = errors.New("none came with the message")
		}
		binary.NativeEndian.PutUint32(word[:], got)
		if _, werr := u.Write(word[:]); err == nil && got < count {
			err = werr // for the last one nobody waits
		}
		if err != nil {
			out.close()
			return nil, fmt.Errorf("haproxy: listening sockets: %w", err)
		}
	}
	return out, nil
}

// add keeps a socket that listens on an address of the network, and closes
// others.
func (l listeners) add(fd int) {
	sa, err := unix.Getsockname(fd)
	if err == nil {
		var ap netip.AddrPort
		switch sa := sa.(type) {
		case *unix.SockaddrInet4:
			ap = netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
		case *unix.SockaddrInet6:
			ap = netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
		}
		if addr := ap.String(); ap.IsValid() && l[addr] == 0 {
			l[addr] = fd
			return
		}
	}
	_ = unix.Close(fd)
}

// give offers the sockets on keptSocket until stop is called, which waits.
func (c Config) give(l listeners) (stop func(), err error) {
	path := c.socket(keptSocket)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("haproxy: %w", err)
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("haproxy: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = ln.Close()
		return nil, fmt.Errorf("haproxy: %w", err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := ln.AcceptUnix()
			if err != nil {
				return
			}
			_ = conn.SetDeadline(time.Now().Add(socketTimeout))
			_ = l.send(conn)
			_ = conn.Close()
		}
	}()
	return func() { _ = ln.Close(); <-done }, nil
}

// send answers one HAProxy that asks.
func (l listeners) send(conn *net.UnixConn) error {
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || line != askForSockets {
		return err
	}
	var word [4]byte
	binary.NativeEndian.PutUint32(word[:], uint32(len(l)))
	if _, err := conn.Write(word[:]); err != nil {
		return err
	}
	for fds := range slices.Chunk(slices.Collect(maps.Values(l)), socketsAtOnce) {
		// Of each, the lengths of the names of its namespace and interface, which
		// it has not, and a word that means nothing any more.
		if _, _, err := conn.WriteMsgUnix(make([]byte, 6*len(fds)), unix.UnixRights(fds...), nil); err != nil {
			return err
		}
		if _, err := io.ReadFull(conn, word[:]); err != nil { // it has them
			return err
		}
	}
	return nil
}

// keepListeners keeps the listening sockets that the newest worker has, and
// none that it has not: connections would wait there for ever.
func (b *Balancer) keepListeners(ctx context.Context) {
	now, err := b.cfg.takeListeners(ctx)
	if err != nil {
		b.log.WarnContext(ctx, "haproxy: its listening sockets are not kept; where it dies, connections are refused until it was started again", "error", err)
	}
	b.dropListeners()
	b.kept = now
}

func (b *Balancer) dropListeners() {
	b.kept.close()
	b.kept = nil
}
