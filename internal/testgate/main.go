// Command testgate reads what "go test -json" prints and says whether it may
// pass: no test failed or was skipped, and every test that a list names passed.
//
//	go test -json ./... | go run ./internal/testgate -save out.json
//	go run ./internal/testgate -require .ci/required.txt out.json …
//
// The list holds a package and a test on each line, relative to the module, such
// as "pod/docker TestConformance"; # begins a comment.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

const module = "github.com/elastipod/elastipod/"

// event is one line of go test -json; see "go doc test2json".
type event struct {
	Action     string
	Package    string
	ImportPath string
	Test       string
	Output     string
	Elapsed    float64
}

type testKey struct{ pkg, test string }

// gate gathers the outcome of tests.
type gate struct {
	out     io.Writer
	outcome map[testKey]string
	output  map[testKey][]string
	broken  []string // packages that failed without a test's fault
}

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("testgate", flag.ContinueOnError)
	flags.SetOutput(stderr)
	save := flags.String("save", "", "also write what is read to `file`")
	require := flags.String("require", "", "`file` that lists the tests that must have passed")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	g := &gate{out: stdout, outcome: map[testKey]string{}, output: map[testKey][]string{}}
	if err := g.readAll(flags.Args(), stdin, *save); err != nil {
		fmt.Fprintln(stderr, "testgate:", err)
		return 2
	}
	var missing []string
	if *require != "" {
		var err error
		if missing, err = g.missing(*require); err != nil {
			fmt.Fprintln(stderr, "testgate:", err)
			return 2
		}
	}
	return g.report(missing)
}

func (g *gate) readAll(files []string, stdin io.Reader, save string) error {
	if len(files) == 0 {
		if save == "" {
			return g.read(stdin)
		}
		f, err := os.Create(save)
		if err != nil {
			return err
		}
		err = g.read(io.TeeReader(stdin, f))
		return cmp.Or(err, f.Close())
	}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		err = g.read(f)
		if err = cmp.Or(err, f.Close()); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// read takes in events and prints a line for each package as it ends.
func (g *gate) read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			fmt.Fprintln(g.out, lines.Text()) // what the go command itself says
			continue
		}
		g.take(e)
	}
	return lines.Err()
}

func (g *gate) take(e event) {
	key := testKey{strings.TrimPrefix(cmp.Or(e.Package, e.ImportPath), module), e.Test}
	switch e.Action {
	case "output", "build-output":
		g.output[key] = append(g.output[key], e.Output)
	case "pass", "fail", "skip":
		g.outcome[key] = e.Action
		if e.Test == "" {
			if e.Action != "skip" { // a package without tests
				fmt.Fprintf(g.out, "%-4s %-28s %6.1f s\n", e.Action, key.pkg, e.Elapsed)
			}
			if e.Action == "fail" && !g.testFailed(key.pkg) {
				g.broken = append(g.broken, key.pkg)
			}
		}
	case "build-fail":
		g.broken = append(g.broken, key.pkg)
	}
}

func (g *gate) testFailed(pkg string) bool {
	for key, outcome := range g.outcome {
		if key.pkg == pkg && key.test != "" && outcome == "fail" {
			return true
		}
	}
	return false
}

// missing returns the listed tests that did not pass.
func (g *gate) missing(list string) ([]string, error) {
	text, err := os.ReadFile(list)
	if err != nil {
		return nil, err
	}
	var missing []string
	n := 0
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if len(fields) != 2 {
			return nil, fmt.Errorf("%s: %q is not a package and a test", list, strings.TrimSpace(line))
		}
		n++
		if outcome := cmp.Or(g.outcome[testKey{fields[0], fields[1]}], "did not run"); outcome != "pass" {
			missing = append(missing, fmt.Sprintf("%s %s: %s", fields[0], fields[1], outcome))
		}
	}
	if n == 0 {
		return nil, fmt.Errorf("%s names no test", list)
	}
	return missing, nil
}

// report prints what is wrong, and last one line that sums up.
func (g *gate) report(missing []string) int {
	passed, failed, skipped := 0, 0, 0
	keys := slices.SortedFunc(maps.Keys(g.outcome), func(a, b testKey) int {
		return cmp.Or(cmp.Compare(a.pkg, b.pkg), cmp.Compare(a.test, b.test))
	})
	for _, key := range keys {
		if key.test == "" {
			continue
		}
		switch g.outcome[key] {
		case "pass":
			passed++
		case "fail":
			failed++
			fmt.Fprintf(g.out, "\nFAILED %s %s\n%s", key.pkg, key.test, strings.Join(g.output[key], ""))
		case "skip":
			skipped++
			fmt.Fprintf(g.out, "\nSKIPPED, which no test may be: %s %s\n%s", key.pkg, key.test, strings.Join(g.output[key], ""))
		}
	}
	for _, pkg := range g.broken {
		failed++
		fmt.Fprintf(g.out, "\nFAILED %s\n%s", pkg, strings.Join(g.output[testKey{pkg, ""}], ""))
	}
	for _, m := range missing {
		failed++
		fmt.Fprintf(g.out, "REQUIRED %s\n", m)
	}
	fmt.Fprintf(g.out, "%d passed, %d failed, %d skipped\n", passed, failed, skipped)
	if failed > 0 || skipped > 0 || passed == 0 {
		return 1
	}
	return 0
}
