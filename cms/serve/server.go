package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/api"
	"github.com/elastipod/elastipod/cms/boltstore"
	"github.com/elastipod/elastipod/cms/webhook"
	"github.com/elastipod/elastipod/metrics/prom"
)

// The time that each part of the end may take; together they are below stopLimit.
const (
	closeGrace    = 4 * time.Second // requests that the in-process balancer has
	shutdownGrace = 2 * time.Second // requests that the API has
	stopLimit     = 10 * time.Second
)

// server is everything of one server.
type server struct {
	settings
	program  Program
	log      *slog.Logger
	listener net.Listener
	stack    *stack
	manager  *cms.Manager
	exporter *prom.Exporter
	api      *api.API
	http     *http.Server
	hooks    *webhook.Sender
	audit    *auditLog
	tracing  *tracing     // nil: no traces
	notify   *notifier    // nil: nobody wants to know
	logs     *logs        // nil: the log stays as it is
	tls      *certificate // nil: no TLS
	page     page

	current   atomic.Pointer[settings] // what is in force: reloads change a part
	reloading chan struct{}            // a token: who holds it may change what is in force
	hangups   <-chan os.Signal         // each asks for a reload
}

// open makes everything and begins to listen; nothing runs yet.
func open(s settings, p Program, log *slog.Logger) (_ *server, err error) {
	sv := &server{settings: s, program: p, log: log, reloading: make(chan struct{}, 1)}
	sv.current.Store(&s)
	if sv.notify, err = newNotifier(log, p.getenv("NOTIFY_SOCKET")); err != nil {
		return nil, err
	}
	if sv.listener, err = listen(s); err != nil {
		if who := boltstore.Holder(filepath.Join(s.data, storeFile)); who != "" {
			return nil, fmt.Errorf("another server (%s) uses the data in %s; use that one, stop it, or choose another directory with --data: %w", who, s.data, err)
		}
		return nil, err
	}
	if sv.stack, err = newStack(s, p, log); err != nil {
		return nil, errors.Join(err, sv.listener.Close())
	}
	sv.cluster = sv.stack.cluster
	if err := sv.stack.store.Announce(sv.url()); err != nil {
		log.Warn("tell others who has the store", "error", err)
	}
	if err := sv.wire(); err != nil {
		sv.tracing.close()
		return nil, errors.Join(err, sv.stack.close(context.Background(), false), sv.listener.Close())
	}
	return sv, nil
}

func (sv *server) wire() (err error) {
	if sv.tracing, err = newTracing(sv.settings.tracing, sv.cluster, sv.log); err != nil {
		return err
	}
	managing := killPorts(sv.stack.config(sv.program))
	managing.TracerProvider = sv.tracing.tracerProvider()
	if sv.manager, err = cms.New(managing); err != nil {
		return err
	}
	if sv.hooks, err = webhook.New(webhook.Config{Manager: sv.manager, Targets: sv.webhooks, Flush: flushGrace, Version: version(), Logger: sv.log}); err != nil {
		return err
	}
	if sv.audit, err = newAuditLog(sv.auditFile, sv.log); err != nil {
		return err
	}
	sv.exporter = prom.New(prom.Config{Source: sv.metrics, Version: version()})
	if sv.api, err = api.New(api.Config{
		Manager: sv.manager, Tokens: sv.tokens, Metrics: sv.exporter.Handler(sideMetrics{sv}), Version: version(), Logger: sv.log,
		AllowedHosts: sv.allowedHosts, AllowedOrigins: sv.allowedOrigins, Reload: sv.reloadFunc(), Webhooks: sv.hooks, Audit: sv.audit.tell,
		TracerProvider: managing.TracerProvider, Ready: sv.manager.StoreError, MaxStreams: share(streamShare),
	}); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/", sv.api.Handler())
	if err := sv.wirePage(mux); err != nil {
		return err
	}
	sv.http = &http.Server{Handler: mux, ErrorLog: slog.NewLogLogger(sv.log.Handler(), slog.LevelDebug)}
	sv.api.Bound(sv.http)
	newConnections(share(connectionShare), sv.log).bound(sv.http)
	if sv.tlsCert != "" {
		if sv.tls, err = newCertificate(sv.tlsCert, sv.tlsKey); err != nil {
			return err
		}
		sv.http.TLSConfig = sv.tls.config()
	}
	return nil
}

// listen opens the API's address, or takes the socket that systemd opened for
// it, and says what to do where the address is taken.
func listen(s settings) (net.Listener, error) {
	if l, err := inherited(); l != nil || err != nil {
		if err == nil {
			err = s.checkReach(l.Addr())
		}
		if err != nil && l != nil {
			return nil, errors.Join(err, l.Close())
		}
		return l, err
	}
	address := s.listen
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("API: %s is taken by another program; end that one, or choose another address with --listen", address)
	}
	if err != nil {
		return nil, fmt.Errorf("API: %w; choose another address with --listen", err)
	}
	return l, nil
}

// url is where the API is reached.
func (sv *server) url() string {
	scheme := "http"
	if sv.tlsCert != "" {
		scheme = "https"
	}
	return scheme + "://" + sv.listener.Addr().String()
}

// run runs the server until ctx ends, and then ends it. Once the manager is
// ready and the pods of the configuration are there, it calls ready, whose error
// ends the server too.
func (sv *server) run(ctx context.Context, ready func(context.Context) error) error {
	// The manager outlives ctx: nodes may have to be stopped.
	manageCtx, stopManager := context.WithCancel(context.WithoutCancel(ctx))
	defer stopManager()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	var managing, serving, others sync.WaitGroup
	managed, told := make(chan struct{}), make(chan struct{})
	managing.Go(func() {
		defer close(managed)
		if err := sv.manager.Run(manageCtx); err != nil {
			cancel(err)
		}
	})
	// It ends after the manager, whose last events it sends.
	managing.Go(func() {
		if err := sv.hooks.Run(manageCtx); err != nil {
			sv.log.Error("webhooks", "error", err)
		}
	})
	serving.Go(func() {
		if err := sv.serveHTTP(); !errors.Is(err, http.ErrServerClosed) {
			cancel(fmt.Errorf("API: %w", err))
		}
	})
	others.Go(func() {
		select {
		case <-sv.manager.Ready():
		case <-ctx.Done():
			return
		}
		if err := sv.stack.keepIdentity(sv.manager.Cluster().ID); err != nil {
			sv.log.Warn("keep the cluster's id", "error", err)
		}
		sv.createPods(ctx)
		if err := ready(ctx); err != nil {
			cancel(err)
			return
		}
		sv.notify.ready(sv.statusLine())
		close(told)
		sv.reloadOnHangup(ctx)
	})
	managing.Go(func() {
		select {
		case <-told:
			alive := newProgress(sv.notify.interval(), sv.tick)
			sv.notify.run(manageCtx, func() string {
				if ctx.Err() != nil {
					return "stopping: " + sv.statusLine()
				}
				return sv.statusLine()
			}, func(now time.Time) error {
				return alive.check(now, sv.manager.Pods(), sv.manager.Balancer())
			})
		case <-manageCtx.Done():
		}
	})
	others.Go(func() { sv.feed(ctx) })

	<-ctx.Done()
	var failed error
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		failed = cause
	}
	end := sv.current.Load()
	sv.log.Info("stopping", "stop_nodes", end.stopNodes)
	limit := stopLimit
	if end.stopNodes {
		limit += end.stopTimeout
	}
	sv.notify.stopping(limit)
	ended := make(chan error, 1)
	go func() {
		others.Wait()
		ended <- sv.stop(end, managed, stopManager, func() { serving.Wait(); managing.Wait() })
	}()
	select {
	case err := <-ended:
		return errors.Join(failed, err)
	case <-time.After(limit):
		return errors.Join(failed, fmt.Errorf("did not end within %s", limit))
	}
}

// stop ends everything: nodes where that is wanted, then the API, the manager,
// the balancer and the store.
func (sv *server) stop(end *settings, managed <-chan struct{}, stopManager func(), wait func()) error {
	var errs []error
	if end.stopNodes {
		errs = append(errs, sv.halt(managed, end.stopTimeout))
	}
	sv.api.Close()
	ctx, cancel := context.WithTimeout(context.Background(), shutdownGrace)
	defer cancel()
	if err := sv.http.Shutdown(ctx); err != nil {
		sv.http.Close() // what still runs is cut
	}
	stopManager()
	wait()
	sv.audit.close()
	var flushing sync.WaitGroup
	flushing.Go(sv.tracing.close)
	defer flushing.Wait()
	ctx, cancel = context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	return errors.Join(append(errs, sv.stack.close(ctx, end.stopNodes))...)
}

// halt ends all nodes, unless the manager is not there any more.
func (sv *server) halt(managed <-chan struct{}, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	select {
	case <-managed:
		return errors.New("nodes were not stopped: the manager failed")
	case <-sv.manager.Ready():
	case <-ctx.Done():
		return errors.New("nodes were not stopped: the manager is not ready")
	}
	if err := sv.manager.Halt(ctx); err != nil {
		return fmt.Errorf("stop nodes: %w; start the server again to look after them", err)
	}
	return nil
}

func (sv *server) serveHTTP() error {
	if sv.http.TLSConfig != nil {
		return sv.http.ServeTLS(sv.listener, "", "")
	}
	return sv.http.Serve(sv.listener)
}

// createPods creates the pods of the configuration that are not there. One that
// cannot be created does not keep the others from running.
func (sv *server) createPods(ctx context.Context) {
	for _, p := range sv.pods {
		began := time.Now()
		made, err := sv.createPod(ctx, p)
		if made || err != nil {
			sv.audit.auditPod(sourceStart, p.spec.Name, began, err)
		}
		if err != nil {
			sv.log.Error("create a pod of the configuration", "pod", p.spec.Name, "error", err)
		}
	}
}

// createPod says whether it made the pod, also where what comes after failed. A
// pod that is there already stays as it is: it may have been changed since.
func (sv *server) createPod(ctx context.Context, p podSettings) (made bool, err error) {
	if _, err := sv.manager.CreatePod(ctx, p.spec); errors.Is(err, cms.ErrExists) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	for range p.nodes {
		if _, err := sv.manager.RegisterNode(ctx, p.spec.Name, ""); err != nil {
			return true, err
		}
		if _, err := sv.manager.Launch(ctx, p.spec.Name); err != nil {
			return true, err
		}
	}
	if p.elasticity == nil {
		return true, nil
	}
	_, err = sv.manager.SetElasticity(ctx, p.spec.Name, *p.elasticity)
	return true, err
}

// statusLine says in a line how the cluster is.
func (sv *server) statusLine() string { return statusLine(sv.manager.Pods(), sv.manager.Hosts()) }
