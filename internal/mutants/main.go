// Command mutants plants small bugs into a package, one at a time, and runs the
// package's tests on each: a bug that no test notices shows what the tests do not
// ask about.
//
//	go run ./internal/mutants ./cms/reconcile scale.go retire.go
//
// All bugs are compiled into one test binary, behind switches that the
// environment sets, so that a bug costs a run of the tests that reach it and no
// compilation. The sources are left alone: the go command reads the changed ones
// through an overlay.
//
// Bugs are: a comparison negated or off by one, "and" instead of "or", a
// condition negated, a statement left out, one added where one is subtracted, the
// smaller instead of the larger.
//
// Gremlins (v0.6.0) leaves no statement out, and negates no condition that is no
// comparison: these are half of the bugs here. It compiles and runs all tests of
// the package for each bug, and passes no arguments to them.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	skip    string
	args    string
	timeout time.Duration
	dir     string
	files   []string
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var o options
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	flags.StringVar(&o.skip, "skip", "", "tests that are not run, a regular expression")
	flags.StringVar(&o.args, "args", "", "further arguments of the test binary, between spaces")
	flags.DurationVar(&o.timeout, "timeout", 20*time.Second, "after which a test that still runs has noticed the bug")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() < 2 {
		return errors.New("usage: mutants [flags] ./package file.go …")
	}
	o.dir, o.files = flags.Arg(0), flags.Args()[1:]
	tmp, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	s := &suite{options: o, tmp: tmp, binary: filepath.Join(tmp, "test"), out: out}
	if err := s.build(ctx); err != nil {
		return err
	}
	if err := s.cover(ctx); err != nil {
		return err
	}
	return s.try(ctx)
}

// suite is the test binary with all bugs in it.
type suite struct {
	options
	tmp, binary string
	out         io.Writer
	mutants     []mutant
	reach       map[int][]string // tests by the bug whose place they reach
}

// switches is what the changed files call.
const switches = `package %s

import (
	"os"
	"strconv"
	"sync/atomic"
)

var (
	mutantOn      = func() int { n, _ := strconv.Atoi(os.Getenv("MUTANT")); return n }()
	mutantReached [%d]atomic.Bool
	mutantFile    = func() *os.File { f, _ := os.Create(os.Getenv("MUTANT_REACHED")); return f }()
)

func mutated(id int) bool {
	if mutantFile != nil && !mutantReached[id].Swap(true) {
		_, _ = mutantFile.WriteString(strconv.Itoa(id) + "\n")
	}
	return id == mutantOn
}

func either[T any](other bool, a, b T) T {
	if other {
		return a
	}
	return b
}
`

func (s *suite) build(ctx context.Context) error {
	dir, err := filepath.Abs(s.dir)
	if err != nil {
		return err
	}
	replace := map[string]string{}
	put := func(name string, src []byte) error {
		path := filepath.Join(s.tmp, name)
		replace[filepath.Join(dir, name)] = path
		return os.WriteFile(path, src, 0o600)
	}
	number := func(m mutant) int {
		m.ID = len(s.mutants) + 1
		s.mutants = append(s.mutants, m)
		return m.ID
	}
	for _, name := range s.files {
		src, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		planted, err := plant(name, src, number)
		if err != nil {
			return err
		}
		if err := put(name, planted); err != nil {
			return err
		}
	}
	if err := put("zz_mutants.go", fmt.Appendf(nil, switches, filepath.Base(dir), len(s.mutants)+1)); err != nil {
		return err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return err
	}
	path := filepath.Join(s.tmp, "overlay.json")
	if err := os.WriteFile(path, overlay, 0o600); err != nil {
		return err
	}
	said, err := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-overlay", path, "-o", s.binary, s.dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("build: %w\n%s", err, said)
	}
	fmt.Fprintf(s.out, "%d bugs in %d files\n", len(s.mutants), len(s.files))
	return nil
}

// outcome is how tests went.
type outcome int

const (
	passed outcome = iota
	failed
	late // they did not end in time, which a slow machine may be to blame for
)

// test runs tests with a bug on.
func (s *suite) test(ctx context.Context, bug int, reached, pattern string) outcome {
	args := append([]string{"-test.run", pattern, "-test.failfast", "-test.timeout", s.timeout.String()}, strings.Fields(s.args)...)
	cmd := exec.CommandContext(ctx, s.binary, args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "MUTANT="+strconv.Itoa(bug), "MUTANT_REACHED="+reached, "GOMAXPROCS=1")
	begun := time.Now()
	switch err := cmd.Run(); {
	case err == nil:
		return passed
	case time.Since(begun) >= s.timeout:
		return late
	}
	return failed
}

// cover finds out which places each test reaches, without any bug.
func (s *suite) cover(ctx context.Context) error {
	list := exec.CommandContext(ctx, s.binary, "-test.list", "^Test")
	list.Dir = s.dir
	names, err := list.Output()
	if err != nil {
		return fmt.Errorf("list tests: %w", err)
	}
	skip := regexp.MustCompile(s.skip)
	s.reach = map[int][]string{}
	for name := range strings.FieldsSeq(string(names)) {
		if s.skip != "" && skip.MatchString(name) {
			continue
		}
		reached := filepath.Join(s.tmp, "reached")
		if s.test(ctx, 0, reached, "^"+name+"$") != passed {
			return fmt.Errorf("%s fails without a bug", name)
		}
		ids, err := os.ReadFile(reached)
		if err != nil {
			return err
		}
		for id := range strings.FieldsSeq(string(ids)) {
			n, err := strconv.Atoi(id)
			if err != nil {
				return err
			}
			s.reach[n] = append(s.reach[n], name)
		}
	}
	return nil
}

// try runs the tests on every bug, and tells of those that live.
func (s *suite) try(ctx context.Context) error {
	var (
		mu                          sync.Mutex
		workers                     sync.WaitGroup
		killed, lived, slow, missed int
	)
	next := make(chan mutant)
	for range runtime.NumCPU() {
		workers.Go(func() {
			for m := range next {
				tests := s.reach[m.ID]
				went := passed
				if len(tests) > 0 {
					went = s.test(ctx, m.ID, "", "^("+strings.Join(tests, "|")+")$")
				}
				mu.Lock()
				switch {
				case ctx.Err() != nil: // the test was ended, which says nothing
				case went == late:
					slow++
					fmt.Fprintf(s.out, "%s   (tests took too long: counted as noticed)\n", m)
					fallthrough
				case went == failed:
					killed++
				default:
					if len(tests) == 0 {
						missed++
						m.What += "   (no test comes here)"
					}
					lived++
					fmt.Fprintln(s.out, m)
				}
				mu.Unlock()
			}
		})
	}
	for _, m := range s.mutants {
		if ctx.Err() == nil {
			next <- m
		}
	}
	close(next)
	workers.Wait()
	fmt.Fprintf(s.out, "%d bugs: %d noticed, %d of these by taking too long; %d not, %d of these where no test comes\n", killed+lived, killed, slow, lived, missed)
	return ctx.Err()
}
