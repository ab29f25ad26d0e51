package docker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/docker/cli/cli/connhelper"
	"github.com/docker/docker/client"
	"github.com/docker/go-connections/tlsconfig"

	"github.com/elastipod/elastipod/pod"
)

const (
	dialTimeout     = 10 * time.Second
	idleConnections = 16
	idleTimeout     = time.Minute
	// sshDials is how many ssh connections are set up at a time: servers drop
	// what goes beyond their MaxStartups, 10 by default.
	sshDials = 4
)

// sshFlags make ssh fail rather than ask, and notice a host that is gone.
var sshFlags = []string{
	"-o", "BatchMode=yes", "-o", "ConnectTimeout=10",
	"-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=3",
}

// connect returns a client of the host's engine, and what closes its
// connections and waits for them. It dials nothing yet.
func connect(h pod.Host) (*client.Client, *connections, error) {
	address := h.Address
	if address == "" {
		address = client.DefaultDockerHost
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, nil, err
	}
	// No proxy: engines are reached directly, whatever the environment says.
	transport := &http.Transport{MaxIdleConns: idleConnections, MaxIdleConnsPerHost: idleConnections, IdleConnTimeout: idleTimeout}
	conns := &connections{idle: transport.CloseIdleConnections}
	conns.life, conns.end = context.WithCancel(context.Background())
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	switch u.Scheme {
	case "unix":
		conns.dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", u.Path)
		}
	case "tcp":
		conns.dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", u.Host)
		}
		if h.TLS.CA != "" {
			transport.TLSClientConfig, err = tlsconfig.Client(tlsconfig.Options{
				CAFile: h.TLS.CA, CertFile: h.TLS.Cert, KeyFile: h.TLS.Key, ExclusiveRootPools: true,
			})
			if err != nil {
				return nil, nil, fmt.Errorf("read TLS files: %w", err)
			}
		}
	case "ssh":
		helper, err := connhelper.GetConnectionHelperWithSSHOpts(address, sshFlags)
		if err != nil {
			return nil, nil, err
		}
		address = helper.Host
		conns.dial = helper.Dialer
		conns.slots = make(chan struct{}, sshDials)
	default:
		return nil, nil, fmt.Errorf("address %q: use unix, tcp or ssh", address)
	}
	api, err := client.NewClientWithOpts(
		client.WithHTTPClient(&http.Client{Transport: transport, CheckRedirect: client.CheckRedirect}),
		client.WithHost(address),
		client.WithDialContext(conns.dialTracked),
		client.WithAPIVersionNegotiation(),
		client.WithUserAgent("elastipod"),
	)
	if err != nil {
		return nil, nil, err
	}
	transport.Proxy = nil
	return api, conns, nil
}

// connections counts what is open to one engine, so that close can wait for it.
// Those by ssh are processes.
type connections struct {
	dial  func(ctx context.Context, network, addr string) (net.Conn, error)
	slots chan struct{} // nil: no limit of dials at a time
	idle  func()        // closes connections as soon as no call uses them
	life  context.Context
	end   context.CancelFunc
	open  sync.WaitGroup // dials under way, too
}

func (c *connections) dialTracked(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	if c.slots != nil {
		select {
		case c.slots <- struct{}{}:
			defer func() { <-c.slots }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	c.open.Add(1)
	conn, err := c.dial(ctx, network, addr)
	if err != nil {
		c.open.Done()
		return nil, err
	}
	return &tracked{Conn: conn, closed: sync.OnceFunc(c.open.Done)}, nil
}

// close waits until every connection is closed. All calls have ended before it.
func (c *connections) close() error {
	c.end()
	c.idle()
	c.open.Wait()
	return nil
}

// tracked is a connection that is counted.
type tracked struct {
	net.Conn
	closed func()
}

func (t *tracked) Close() error {
	defer t.closed()
	return t.Conn.Close()
}

// CloseWrite passes on half-closing, which uploads need.
func (t *tracked) CloseWrite() error {
	if half, ok := t.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
