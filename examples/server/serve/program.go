package serve

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/examples/workload"
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
	cmdWorkload  = "workload"  // what the demo's nodes run
)

// Program is a server. The zero value is the reference server.
type Program struct {
	// Policies are what pods may choose by kind. Default: the built-in ones.
	Policies *elastic.Registry
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
		switch args[0] {
		case cmdSupervise:
			return process.Supervise(args[1:])
		case cmdWorkload:
			return workload.Run(ctx, args[1:], p.Environ, p.Stdout, p.Stderr)
		}
	}
	f, err := parseFlags(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(p.Stdout, usageText)
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
		if len(sv.manager.Pods()) == 0 {
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
