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
	"slices"
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
	also    string
	timeout time.Duration
	jobs    int
	dir     string
	files   []string
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var o options
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	flags.StringVar(&o.skip, "skip", "", "tests that are not run, a regular expression")
	flags.StringVar(&o.also, "then", "", "a test that is run on what all others let live, such as a slow one")
	flags.DurationVar(&o.timeout, "timeout", 20*time.Second, "after which a test that still runs has noticed the bug")
	flags.IntVar(&o.jobs, "jobs", 2, "how many bugs are tried at a time")
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

// test runs tests with a bug on, and says whether they passed.
func (s *suite) test(ctx context.Context, bug int, reached, pattern string, args ...string) bool {
	cmd := exec.CommandContext(ctx, s.binary, append([]string{"-test.run", pattern, "-test.failfast", "-test.timeout", s.timeout.String()}, args...)...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "MUTANT="+strconv.Itoa(bug), "MUTANT_REACHED="+reached, "GOMAXPROCS=1")
	return cmd.Run() == nil
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
		if !s.test(ctx, 0, reached, "^"+name+"$") {
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
		mu             sync.Mutex
		workers        sync.WaitGroup
		killed, missed int
		lived          []mutant
	)
	next := make(chan mutant)
	for range s.jobs {
		workers.Go(func() {
			for m := range next {
				tests := s.reach[m.ID]
				dead := len(tests) > 0 && !s.test(ctx, m.ID, "", "^("+strings.Join(tests, "|")+")$")
				if !dead && s.also != "" {
					dead = !s.test(ctx, m.ID, "", "^"+s.also+"$")
				}
				mu.Lock()
				switch {
				case ctx.Err() != nil: // the test was ended, which says nothing
				case dead:
					killed++
				default:
					if len(tests) == 0 {
						missed++
						m.What += "   (no test comes here)"
					}
					lived = append(lived, m)
					fmt.Fprintf(s.out, "%s:%d: %s\n", m.File, m.Line, m.What)
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
	slices.SortFunc(lived, func(a, b mutant) int { return a.ID - b.ID })
	fmt.Fprintf(s.out, "%d bugs: %d noticed, %d not, %d of these where no test comes\n", killed+len(lived), killed, len(lived), missed)
	return ctx.Err()
}
