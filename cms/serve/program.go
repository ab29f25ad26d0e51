package serve

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/pod/process"
)

// Exit codes of [Program.Run].
const (
	ExitOK     = 0 // done
	ExitFailed = 1 // could not start, or did not end cleanly
	ExitUsage  = 2 // a flag or the configuration is wrong
)

// Subcommands that are for the program itself.
const (
	cmdSupervise = "supervise" // what the process runtime starts
	cmdWorkload  = "workload"  // what nodes of the default pods run
)

// Program is a server. The zero value is one with the built-in policies and the
// API alone.
type Program struct {
	// Policies are what pods may choose by kind. Default: the built-in ones.
	Policies *elastic.Registry
	// Page makes what browsers get at "/" and below [PagePrefix]. It is called at
	// the start and at each reload. Default: "/" is a text.
	Page func(Page) (http.Handler, error)
	// Workload is the subcommand "workload", which the nodes of light, medium and
	// heavy run; it returns the exit code. With it there is the image
	// "elastipod-workload" too. Default: these pods are not offered.
	Workload func(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int
	// Demo is what --demo does once the server is ready; when it returns an error,
	// the server ends. Default: there is no such flag.
	Demo func(ctx context.Context, m *cms.Manager, url string) error
	// Environ is the environment, as os.Environ returns it. Default: that.
	Environ []string
	// Stdout gets what is for people, Stderr errors and logs. Default: nothing
	// is written.
	Stdout, Stderr io.Writer
}

// Run runs the server until ctx ends or the process gets SIGTERM or SIGINT, and
// returns the exit code. args are the arguments after the program's name. A
// second signal makes it return at once, and the caller should exit then. The
// process runtime starts this program anew with arguments of its own, so a main
// function must pass its arguments on before it does anything else.
func (p Program) Run(ctx context.Context, args []string) int {
	p = p.withDefaults()
	if len(args) > 0 {
		switch {
		case args[0] == cmdSupervise:
			return process.Supervise(args[1:])
		case args[0] == cmdWorkload && p.Workload != nil:
			return p.Workload(ctx, args[1:], p.Environ, p.Stdout, p.Stderr)
		}
	}
	f, err := parseFlags(args, p.Demo != nil)
	switch {
	case errors.Is(err, flag.ErrHelp):
		text := usageText
		if p.Demo == nil {
			text = strings.Replace(text, demoUsage, "", 1)
		}
		fmt.Fprint(p.Stdout, text)
		return ExitOK
	case err != nil:
		fmt.Fprintln(p.Stderr, "server:", err)
		return ExitUsage
	case f.version:
		fmt.Fprintln(p.Stdout, "elastipod", version())
		return ExitOK
	}
	if f.demo {
		if err := demoFlags(&f); err != nil {
			fmt.Fprintln(p.Stderr, "server:", err)
			return ExitUsage
		}
	}
	s, err := load(f, p.getenv, p.Policies)
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintln(p.Stderr, "server:", strings.TrimSuffix(line, "\n"))
		}
		return ExitUsage
	}
	if f.check {
		fmt.Fprintf(p.Stdout, "the configuration is good: cluster %s, stack %s, hosts %d, pods %d, API on %s\n",
			cmp.Or(s.cluster, cms.DefaultName), s.stack, len(s.hosts), len(s.pods), s.listen)
		return ExitOK
	}
	if f.demo {
		return p.untilSignal(ctx, func(ctx context.Context) error { return p.demo(ctx, s, f) }, syscall.SIGHUP)
	}
	// From now on, so that an early one does not end the program.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	return p.untilSignal(ctx, func(ctx context.Context) error { return p.serve(ctx, s, hangups) })
}

// demoFlags prepares the flags for the demo.
func demoFlags(f *flags) error {
	for _, name := range []string{"config", "stack"} {
		if _, given := f.given[name]; given {
			return fmt.Errorf("--%s: does not go with --demo, which needs nothing but this program; leave one of them out", name)
		}
	}
	f.given["stop-nodes"] = "true"
	f.given["log-level"] = cmp.Or(f.given["log-level"], "error")
	return nil
}

// demo runs the server, in a directory of its own and at addresses that are
// free, and the demo on it.
func (p Program) demo(ctx context.Context, s settings, f flags) error {
	if f.given["data"] == "" {
		dir, err := os.MkdirTemp("", "elastipod-demo-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		s.data = dir
	}
	if f.given["listen"] == "" {
		s.listen = freeOr(s.listen)
	}
	s.freeFronts = true
	s.tick = 500 * time.Millisecond
	log, _ := s.logger(p.Stderr)
	sv, err := open(s, p, log)
	if err != nil {
		return err
	}
	return sv.run(ctx, func(ctx context.Context) error { return p.Demo(ctx, sv.manager, sv.url()) })
}

// freeOr returns the address, or one with a free port where another program
// listens on it: a first look must not fail on that.
func freeOr(address string) string {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		host, _, _ := net.SplitHostPort(address)
		l, err = net.Listen("tcp", net.JoinHostPort(host, "0"))
	}
	if err != nil {
		return address // whoever uses it says what is wrong with it
	}
	defer l.Close()
	return l.Addr().String()
}

func (p Program) withDefaults() Program {
	if p.Policies == nil {
		p.Policies = elastic.NewRegistry()
	}
	if p.Environ == nil {
		p.Environ = os.Environ()
	}
	if p.Stdout == nil {
		p.Stdout = io.Discard
	}
	if p.Stderr == nil {
		p.Stderr = io.Discard
	}
	return p
}

func (p Program) getenv(name string) string {
	for _, kv := range p.Environ {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			return v
		}
	}
	return ""
}

// oneSignal is how long signals count as one: a runner may signal the process
// and its group, and impatience takes longer.
const oneSignal = 500 * time.Millisecond

// untilSignal runs f until it ends. The first of SIGTERM, SIGINT and more ends its context, a later
// one ends the waiting.
func (p Program) untilSignal(ctx context.Context, f func(context.Context) error, more ...os.Signal) int {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, append(more, syscall.SIGTERM, os.Interrupt)...)
	defer signal.Stop(signals)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	var first time.Time
	for {
		select {
		case err := <-done:
			if err != nil {
				fmt.Fprintln(p.Stderr, "server:", err)
				return ExitFailed
			}
			return ExitOK
		case <-signals:
			cancel()
			if first.IsZero() {
				first = time.Now()
			} else if time.Since(first) > oneSignal {
				fmt.Fprintln(p.Stderr, "server: a second signal: ending at once")
				return ExitFailed
			}
		}
	}
}

// serve runs the server with these settings until ctx ends. Each hangup makes it
// read its configuration anew.
func (p Program) serve(ctx context.Context, s settings, hangups <-chan os.Signal) error {
	log, form := s.logger(p.Stderr)
	sv, err := open(s, p, log)
	if err != nil {
		return err
	}
	sv.logs, sv.hangups = form, hangups
	return sv.run(ctx, func(ctx context.Context) error {
		fmt.Fprintf(p.Stdout, "elastipod %s: cluster %s on the %s stack\n  API   %s\n  docs  %s/docs\n  data  %s\n",
			version(), sv.cluster, sv.settings.stack, sv.url(), sv.url(), sv.data)
		if len(sv.manager.Pods()) == 0 && len(sv.stack.defaults(sv.settings)) > 0 {
			fmt.Fprintln(p.Stdout, "  next  cloud init")
		}
		return nil
	})
}

// logger writes what the settings say; with what it also returns that may be
// changed later.
func (s settings) logger(w io.Writer) (*slog.Logger, *logs) {
	var l logs
	l.set(s.logJSON, s.logLevel)
	return slog.New(l.handler(w)), &l
}

// version is that of the program's module, or the revision that it was built of.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "dev"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	revision, at := "", ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			revision = s.Value[:min(12, len(s.Value))]
		case "vcs.time":
			if t, err := time.Parse(time.RFC3339, s.Value); err == nil {
				at = t.UTC().Format("20060102")
			}
		}
	}
	if revision == "" {
		return "dev"
	}
	return "dev-" + at + "-" + revision
}
