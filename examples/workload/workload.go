package workload

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Kinds maps the name of each kind to the CPU time that a request to "/" takes.
func Kinds() map[string]time.Duration {
	return map[string]time.Duration{"light": 0, "medium": 20 * time.Millisecond, "heavy": 80 * time.Millisecond}
}

// MaxCPU and MaxSleep bound what one request may ask for, MaxWarmUp what the
// environment may.
const (
	MaxCPU    = 10 * time.Second
	MaxSleep  = time.Minute
	MaxWarmUp = time.Hour
)

// memoryLimit makes the collector keep the program well inside of 32 MiB.
const memoryLimit = 20 << 20

// linger is how long what runs may take after SIGTERM; who sent it usually kills
// sooner.
const linger = 5 * time.Minute

// settings is what the arguments and the environment say.
type settings struct {
	kind     string
	cpu      time.Duration
	bind     string
	ports    []string
	node     string
	seenFile string
	faults   bool // on demand
	warmUp   time.Duration
	check    bool // only ask whether the one beside is well
}

// Run runs the workload until ctx ends or the process gets SIGTERM or SIGINT,
// finishes the requests that it has, and returns the exit code: 0, 1 when it
// could not serve or, with --check, is not well, 2 for wrong arguments. environ is as os.Environ returns it.
func Run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	s, err := parse(args, environ, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(stderr, "workload:", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, os.Interrupt)
	defer stop()
	if s.check {
		if err := check(ctx, s); err != nil {
			fmt.Fprintln(stderr, "workload:", err)
			return 1
		}
		return 0
	}
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(memoryLimit))
	if err := serve(ctx, s, stdout); err != nil {
		fmt.Fprintln(stderr, "workload:", err)
		return 1
	}
	return 0
}

func parse(args, environ []string, stderr io.Writer) (settings, error) {
	env := map[string]string{}
	for _, kv := range environ {
		k, v, _ := strings.Cut(kv, "=")
		env[k] = v
	}
	s := settings{kind: "light", node: env["ELASTIPOD_NODE"], seenFile: env["SEEN_FILE"], faults: env["FAULTS"] == "on"}
	if s.node == "" {
		s.node, _ = os.Hostname()
	}
	fs := flag.NewFlagSet("workload", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() {
		fmt.Fprintln(stderr, "usage: server workload [--bind ADDRESS] [--cpu TIME] [--check] [light|medium|heavy]")
		fs.PrintDefaults()
	}
	fs.StringVar(&s.bind, "bind", "", "IP `address` to listen on (default: all)")
	cpu := fs.Duration("cpu", -1, "CPU time of a request to /, such as 20ms, instead of the kind's")
	fs.BoolVar(&s.check, "check", false, "ask the workload that listens here whether it is well, and end: the command of a HEALTHCHECK")
	if err := fs.Parse(args); err != nil {
		return s, err
	}
	if fs.NArg() > 1 {
		return s, fmt.Errorf("%q is too much: name one of light, medium and heavy", fs.Arg(1))
	}
	if fs.NArg() == 1 {
		s.kind = fs.Arg(0)
	}
	var ok bool
	if s.cpu, ok = Kinds()[s.kind]; !ok {
		return s, fmt.Errorf("%.40q is no kind of workload: use light, medium or heavy", s.kind)
	}
	if *cpu != -1 {
		s.cpu = *cpu
	}
	if s.cpu < 0 || s.cpu > MaxCPU {
		return s, fmt.Errorf("--cpu %s is out of range: use 0s to %s", s.cpu, MaxCPU)
	}
	if s.bind != "" && net.ParseIP(s.bind) == nil {
		return s, fmt.Errorf("--bind %.40q is no IP address", s.bind)
	}
	if text := env["WARM_UP"]; text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 || d > MaxWarmUp {
			return s, fmt.Errorf("WARM_UP=%.40q is out of range: use 0s to %s", text, MaxWarmUp)
		}
		s.warmUp = d
	}
	for name, port := range env {
		if name != "PORT" && !strings.HasPrefix(name, "PORT_") || slices.Contains(s.ports, port) {
			continue
		}
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return s, fmt.Errorf("%s=%.40q is no port: use 1 to 65535", name, port)
		}
		s.ports = append(s.ports, port)
	}
	slices.Sort(s.ports)
	if len(s.ports) == 0 {
		return s, errors.New("PORT is not set: it says on which port to listen")
	}
	return s, nil
}

func serve(ctx context.Context, s settings, stdout io.Writer) error {
	ids, err := newSeen(s.seenFile)
	if err != nil {
		return err
	}
	defer ids.close()
	srv := &http.Server{
		Handler:           newHandler(s, ids),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       MaxCPU + MaxSleep,
		IdleTimeout:       5 * time.Minute, // longer than a balancer's: it closes first
		MaxHeaderBytes:    16 << 10,
	}
	silent := &silentConns{open: map[net.Conn]struct{}{}}
	srv.ConnState = silent.track
	var listeners []net.Listener
	for _, port := range s.ports {
		l, err := net.Listen("tcp", net.JoinHostPort(s.bind, port))
		if err != nil {
			for _, l := range listeners {
				l.Close()
			}
			return err
		}
		listeners = append(listeners, l)
	}
	fmt.Fprintf(stdout, "%s serves as %s on port %s\n", s.node, s.kind, strings.Join(s.ports, ", "))

	var wg sync.WaitGroup
	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		wg.Go(func() {
			if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				failed <- err
			}
		})
	}
	select {
	case <-ctx.Done():
		fmt.Fprintf(stdout, "%s finishes what it has\n", s.node)
	case err = <-failed:
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), linger)
	defer cancel()
	timer := time.AfterFunc(silentGrace, silent.close)
	defer timer.Stop()
	if stopErr := srv.Shutdown(end); stopErr != nil {
		err = errors.Join(err, stopErr, srv.Close())
	}
	wg.Wait()
	fmt.Fprintf(stdout, "%s ends after %d requests\n", s.node, ids.requests())
	return err
}
