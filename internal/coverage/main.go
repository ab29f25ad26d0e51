// Command coverage adds up profiles of "go test -coverprofile" and fails where
// less of a tree of packages was run than it should be.
//
//	go run ./internal/coverage -min 85 -trees cms,pod,balancer,elastic a.out b.out …
//
// A statement counts as run when it is in any of the profiles, so that a package
// is covered also by the tests of those that use it.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

const module = "github.com/elastipod/elastipod/"

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("coverage", flag.ContinueOnError)
	flags.SetOutput(stderr)
	least := flags.Float64("min", 85, "`percent` of the statements of each tree that must have been run")
	trees := flags.String("trees", "", "`list` of the trees, relative to the module, with commas between them")
	packages := flags.Bool("packages", false, "print a line for each package too")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if *trees == "" || flags.NArg() == 0 {
		fmt.Fprintln(stderr, "coverage: name the trees, and a profile at least")
		return 2
	}
	p := profile{}
	for _, name := range flags.Args() {
		if err := p.readFile(name); err != nil {
			fmt.Fprintln(stderr, "coverage:", err)
			return 2
		}
	}
	code := 0
	for _, tree := range strings.Split(*trees, ",") {
		sum, byPackage := p.of(tree)
		if *packages {
			for _, pkg := range slices.Sorted(maps.Keys(byPackage)) {
				fmt.Fprintf(stdout, "     %-40s %s\n", pkg, byPackage[pkg])
			}
		}
		verdict := "ok"
		if sum.percent() < *least {
			verdict, code = "FAIL", 1
		}
		fmt.Fprintf(stdout, "%-4s %-40s %s, at least %g %%\n", verdict, tree, sum, *least)
	}
	return code
}

// block is a run of statements, as a profile names it: "file:from,to".
type block string

// profile holds how many statements each block has, and whether they were run.
type profile map[block]struct {
	statements int
	run        bool
}

func (p profile) readFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := p.read(f); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// read takes in a profile: a line with the mode, and one a block, such as
// "example.org/m/pod/state.go:81.31,83.2 1 4".
func (p profile) read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		if strings.HasPrefix(lines.Text(), "mode: ") {
			continue
		}
		f := strings.Fields(lines.Text())
		if len(f) != 3 {
			return fmt.Errorf("line %d is not one of a profile: %.80q", n, lines.Text())
		}
		statements, err := strconv.Atoi(f[1])
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		b := p[block(f[0])]
		b.statements = statements
		b.run = b.run || f[2] != "0"
		p[block(f[0])] = b
	}
	return lines.Err()
}

// share is how many of some statements were run.
type share struct{ run, all int }

// percent is 0 where there is nothing to run: the tree's name is wrong then.
func (s share) percent() float64 { return 100 * float64(s.run) / float64(max(1, s.all)) }

func (s share) String() string {
	return fmt.Sprintf("%5.1f %% of %d statements", s.percent(), s.all)
}

// of adds up a tree, and each package in it.
func (p profile) of(tree string) (sum share, byPackage map[string]share) {
	byPackage = map[string]share{}
	for b, c := range p {
		file, _, _ := strings.Cut(string(b), ":")
		pkg := path.Dir(strings.TrimPrefix(file, module))
		if pkg != tree && !strings.HasPrefix(pkg, tree+"/") {
			continue
		}
		s := byPackage[pkg]
		s.all += c.statements
		if c.run {
			s.run += c.statements
		}
		byPackage[pkg] = s
	}
	for _, s := range byPackage {
		sum.run, sum.all = sum.run+s.run, sum.all+s.all
	}
	return sum, byPackage
}
