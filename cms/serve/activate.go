package serve

import (
	"errors"
	"fmt"
	"net"

	"github.com/coreos/go-systemd/v22/activation"
)

// inherited returns the socket on which systemd listens for the API, so that
// clients wait while the server is started anew; nil: there is none.
func inherited() (net.Listener, error) {
	all, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("API: the socket of systemd: %w", err)
	}
	switch {
	case len(all) == 0:
		return nil, nil
	case len(all) == 1 && all[0] != nil:
		return all[0], nil
	}
	var errs []error
	for _, l := range all {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	return nil, errors.Join(append(errs, fmt.Errorf("API: systemd handed over %d sockets; use one ListenStream in the socket unit", len(all)))...)
}

// checkReach refuses an address that the settings do not guard: that of a socket
// which was handed over is not the one that they name.
func (s *settings) checkReach(a net.Addr) error {
	tcp, ok := a.(*net.TCPAddr)
	if !ok || tcp.IP.IsLoopback() {
		return nil // a unix socket has rights of its own
	}
	if missing := s.unguarded(); missing != "" {
		return fmt.Errorf("API: %s can be reached from other machines; set %s, or accept the risk with --insecure", a, missing)
	}
	return nil
}
