package dockertest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
)

const (
	readyTimeout    = 60 * time.Second
	shutdownTimeout = 15 * time.Second
	closeTimeout    = 60 * time.Second
)

// Options say what kind of engine is started. The zero value is a local engine
// on a unix socket.
type Options struct {
	// Flags are further flags of dockerd, such as "--live-restore".
	Flags []string
	// Remote puts the engine into a network namespace of its own, so that
	// neither container addresses nor its loopback can be dialled from here.
	Remote bool
	// TLS makes the engine listen on tcp also, with mutual TLS.
	TLS bool
	// SSH starts an ssh server beside the engine, for ssh:// addresses.
	SSH bool
	// DataRoot is the directory of the engine's data, such as one on a disk that
	// is full soon; by default it has one of its own. The caller removes it after
	// the engine is closed.
	DataRoot string
}

// Engine is a running private dockerd.
type Engine struct {
	// Socket is the path of the engine's unix socket, which works for remote
	// engines too: only networks are apart.
	Socket string
	// IP is the host's address as dialled from here: ports are published on it.
	// For a local engine it is the bridge's own address.
	IP string
	// PeerIP is this machine's address as dialled from a remote engine; equal
	// to IP for a local one.
	PeerIP string
	// TCP is the engine's tcp address, such as "tcp://172.30.1.2:2376", and
	// TLS the files to reach it with. Set with [Options.TLS].
	TCP string
	TLS TLSFiles
	// SSH is the engine's ssh address, such as "ssh://root@172.30.1.2:2222".
	// The directory SSHPath holds an ssh command that knows the key; put it
	// first in PATH. Set with [Options.SSH].
	SSH     string
	SSHPath string

	opts Options
	dir  string
	slot *slot
	net  network4

	mu        sync.Mutex
	daemon    *process
	sshd      *process
	unplugged bool
	closed    bool
}

// Start launches an engine for a test and closes it with the test. It fails the
// test when that is not possible.
func Start(t testing.TB, o Options) *Engine {
	t.Helper()
	e, err := Launch(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("dockerd of the failed test said:\n%s", e.LogTail())
		}
		if err := e.Close(); err != nil {
			t.Errorf("close docker engine: %v", err)
		}
	})
	return e
}

// Launch starts an engine and returns once it answers, within some seconds. The
// caller closes it. On an error nothing is left behind.
func Launch(ctx context.Context, o Options) (_ *Engine, err error) {
	if !o.Remote && slices.Contains(o.Flags, "--userland-proxy=false") {
		return nil, errors.New("dockertest: without its proxy an engine changes the rules of the machine's loopback, and ports that others publish do not answer: make it Remote")
	}
	if err := checkPrograms(o); err != nil {
		return nil, err
	}
	s, err := takeSlot()
	if err != nil {
		return nil, fmt.Errorf("dockertest: %w", err)
	}
	e := &Engine{opts: o, slot: s, net: network4{slot: s.number, remote: o.Remote}}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("dockertest: start engine: %w", err), e.Close())
		}
	}()
	// Unix sockets allow 108 bytes: t.TempDir would be too long.
	if e.dir, err = os.MkdirTemp("/tmp", "epd"); err != nil {
		return nil, err
	}
	if err := s.record(e.dir); err != nil {
		return nil, err
	}
	e.Socket = filepath.Join(e.dir, "d.sock")
	e.IP, e.PeerIP = e.net.addresses()
	if err := e.net.create(ctx); err != nil {
		return nil, err
	}
	if o.TLS {
		if e.TLS, err = makeCertificates(filepath.Join(e.dir, "tls"), e.IP); err != nil {
			return nil, err
		}
		e.TCP = "tcp://" + e.IP + ":" + strconv.Itoa(apiPort)
	}
	if err := e.startDaemon(ctx); err != nil {
		return nil, err
	}
	if o.SSH {
		if err := e.startSSH(ctx); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// Address is the engine's address on its unix socket, "unix:///…".
func (e *Engine) Address() string { return "unix://" + e.Socket }

// DataRoot is the directory in which the engine keeps its data.
func (e *Engine) DataRoot() string { return cmp.Or(e.opts.DataRoot, filepath.Join(e.dir, "data")) }

// Bridge is the name of the engine's bridge.
func (e *Engine) Bridge() string { return e.net.bridge() }

// PID is the process id of dockerd; 0 while it does not run.
func (e *Engine) PID() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.daemon == nil {
		return 0
	}
	return e.daemon.cmd.Process.Pid
}

// Client returns a new client on the engine's unix socket. The caller closes it.
func (e *Engine) Client() (*client.Client, error) {
	return client.NewClientWithOpts(client.WithHost(e.Address()), client.WithAPIVersionNegotiation())
}

// LogTail returns the end of what dockerd wrote.
func (e *Engine) LogTail() string {
	log, err := os.ReadFile(filepath.Join(e.dir, "dockerd.log"))
	if err != nil {
		return err.Error()
	}
	return string(log[max(0, len(log)-4000):])
}

// Kill ends dockerd with SIGKILL, as a crash would, and returns once it is
// gone. Containers go on; published ports may not.
func (e *Engine) Kill() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.endDaemon(syscall.SIGKILL)
}

// Stop ends dockerd with SIGTERM and returns once it is gone.
func (e *Engine) Stop() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.endDaemon(syscall.SIGTERM)
}

// Restart starts dockerd again with the same data, ending it with SIGTERM first
// if it runs, and returns once it answers.
func (e *Engine) Restart(ctx context.Context) error {
	if err := e.Stop(); err != nil {
		return err
	}
	if err := e.startDaemon(ctx); err != nil {
		return fmt.Errorf("dockertest: restart engine: %w", err)
	}
	return nil
}

// Close removes the engine's containers, ends it and removes everything that it
// and this package made: processes, mounts, networks, files. It is safe to call
// twice.
func (e *Engine) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil
	}
	e.closed = true
	var errs []error
	if e.daemon != nil {
		errs = append(errs, e.removeContainers(ctx), e.endDaemon(syscall.SIGTERM))
	}
	if e.sshd != nil {
		errs = append(errs, endTree(e.sshd.cmd.Process.Pid))
		<-e.sshd.done
	}
	errs = append(errs, cleanup(ctx, e.dir, e.slot.number), e.slot.release())
	return errors.Join(errs...)
}

func (e *Engine) removeContainers(ctx context.Context) error {
	c, err := e.Client()
	if err != nil {
		return err
	}
	defer c.Close()
	list, err := c.ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	errs := make([]error, len(list))
	for i, found := range list {
		wg.Go(func() {
			err := c.ContainerRemove(ctx, found.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
			if err != nil && !cerrdefs.IsNotFound(err) {
				errs[i] = err
			}
		})
	}
	wg.Wait()
	networks, err := c.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(filters.Arg("type", "custom"))})
	for _, n := range networks {
		errs = append(errs, c.NetworkRemove(ctx, n.ID))
	}
	return errors.Join(append(errs, err)...)
}

func (e *Engine) startDaemon(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	// Where nobody reaps, a killed daemon stays as a zombie whose pid file
	// keeps the next one from starting.
	for _, stale := range []string{"d.pid", "exec/containerd/containerd.pid"} {
		if err := os.Remove(filepath.Join(e.dir, stale)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	args := []string{
		"--host", e.Address(),
		"--data-root", e.DataRoot(),
		"--exec-root", filepath.Join(e.dir, "exec"),
		"--pidfile", filepath.Join(e.dir, "d.pid"),
		"--config-file", filepath.Join(e.dir, "daemon.json"),
		"--bridge", e.net.bridge(),
		"--fixed-cidr", e.net.subnet(),
		"--default-address-pool", e.net.pool(),
		"--shutdown-timeout", "5",
	}
	if err := os.WriteFile(filepath.Join(e.dir, "daemon.json"), []byte("{}\n"), 0o600); err != nil {
		return err
	}
	if _, err := os.Stat("/run/containerd/containerd.sock"); err == nil {
		// The engine will share the machine's containerd.
		args = append(args, "--containerd-namespace", e.net.name(), "--containerd-plugins-namespace", e.net.name()+"-plugins")
	}
	if e.opts.TLS {
		f := e.TLS
		args = append(args, "--host", e.TCP, "--tlsverify", "--tlscacert", f.CA, "--tlscert", f.serverCert, "--tlskey", f.serverKey)
	}
	if !e.opts.Remote {
		// Engines that start at the same time break each other's packet filter.
		unlock, err := lockStarts()
		if err != nil {
			return err
		}
		defer unlock()
	}
	p, err := e.spawn("dockerd.log", "dockerd", append(args, e.opts.Flags...)...)
	if err != nil {
		return err
	}
	e.daemon = p
	if err := e.awaitReady(ctx, p); err != nil {
		return fmt.Errorf("%w; dockerd said: %s", err, e.LogTail())
	}
	return nil
}

func (e *Engine) awaitReady(ctx context.Context, p *process) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, errors.New("dockerd did not answer in time"))
	defer cancel()
	c, err := e.Client()
	if err != nil {
		return err
	}
	defer c.Close()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		if _, err := c.Ping(ctx); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-p.done:
			e.daemon = nil
			return fmt.Errorf("dockerd ended: %v", p.cmd.ProcessState)
		case <-poll.C:
		}
	}
}

func (e *Engine) endDaemon(sig syscall.Signal) error {
	p := e.daemon
	if p == nil {
		return nil
	}
	e.daemon = nil
	children := descendants(p.cmd.Process.Pid)
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	late := time.NewTimer(shutdownTimeout)
	defer late.Stop()
	select {
	case <-p.done:
	case <-late.C:
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	// containerd dies with dockerd, but a moment later; docker-proxies too.
	return awaitGone(children, func(name string) bool { return !strings.HasPrefix(name, "containerd-shim") })
}
