//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/internal/markdown"
)

// console is what a reader has who follows a document: a clean clone of the
// repository, an empty home, a machine on which nothing else listens, a terminal
// for what ends, and one for each command that goes on.
type console struct {
	t      *testing.T
	dir    string // the clone
	home   string
	shell  *exec.Cmd
	stdin  *os.File
	out    *transcript
	others []*other
}

// other is a terminal in which one command goes on.
type other struct {
	cmd   *exec.Cmd
	out   *transcript
	ended chan error
}

// consoleWait is how long one command may take.
const consoleWait = 5 * time.Minute

func openConsole(t *testing.T) *console {
	base, err := os.MkdirTemp("/tmp", "ep")
	require.NoError(t, err)
	c := &console{t: t, dir: filepath.Join(base, "elastipod"), home: filepath.Join(base, "home"), out: &transcript{}}
	require.NoError(t, os.MkdirAll(c.home, 0o700))
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	c.clone()

	// A network of its own, where the ports of the document are free, and a space
	// of processes of its own, so that none outlives the shell.
	c.shell = exec.Command("unshare", "--net", "--pid", "--mount-proc", "--fork", "--kill-child", "bash", "--norc")
	c.shell.Dir, c.shell.Env = c.dir, c.environment()
	c.shell.Stdout, c.shell.Stderr = c.out, c.out
	r, w, err := os.Pipe()
	require.NoError(t, err)
	c.shell.Stdin, c.stdin = r, w
	require.NoError(t, c.shell.Start())
	require.NoError(t, r.Close())
	t.Cleanup(func() {
		_ = c.stdin.Close()
		_ = c.shell.Wait()
	})
	out, code := c.run("ip link set lo up")
	require.Zero(t, code, out)
	return c
}

// clone copies what git keeps, as it is in the working tree.
func (c *console) clone() {
	root, err := filepath.Abs("../..")
	require.NoError(c.t, err)
	script := `git ls-files -z --cached --others --exclude-standard | tar -c --null --ignore-failed-read -T - 2>/dev/null | tar -x -C "$1" && git -C "$1" init -q`
	require.NoError(c.t, os.MkdirAll(c.dir, 0o755))
	cmd := exec.CommandContext(c.t.Context(), "bash", "-c", script, "bash", c.dir)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	require.NoError(c.t, err, "%s", out)
}

// environment is that of a new user; what Go has built and fetched is at hand.
func (c *console) environment() []string {
	env := []string{"HOME=" + c.home, "LANG=C.UTF-8", "TERM=dumb", "PATH=" + os.Getenv("PATH")}
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPROXY", "GOFLAGS"} {
		value, err := exec.CommandContext(c.t.Context(), "go", "env", name).Output()
		require.NoError(c.t, err)
		env = append(env, name+"="+strings.TrimSpace(string(value)))
	}
	return env
}

// run runs a command in the shell, in which variables and the directory stay.
func (c *console) run(command string) (out string, code int) {
	c.t.Helper()
	file := filepath.Join(c.home, ".command")
	require.NoError(c.t, os.WriteFile(file, []byte(command+"\n"), 0o600))
	from := c.out.len()
	mark := fmt.Sprintf("\x01done %d ", from)
	_, err := fmt.Fprintf(c.stdin, ". %s </dev/null; printf '%s%%d\\n' $?\n", file, mark)
	require.NoError(c.t, err)
	deadline := time.Now().Add(consoleWait)
	for {
		text := c.out.from(from)
		if before, after, ok := strings.Cut(text, mark); ok && strings.HasSuffix(after, "\n") {
			code, err := strconv.Atoi(strings.TrimSpace(after))
			require.NoError(c.t, err)
			return before, code
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("%s: does not end:\n%s", command, text)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// begin runs a command that goes on, in a terminal of its own, until its output
// is as expected.
func (c *console) begin(command, expected string) {
	c.t.Helper()
	o := &other{out: &transcript{}, ended: make(chan error, 1)}
	spaces := fmt.Sprintf("/proc/%d/ns/", c.shell.Process.Pid)
	o.cmd = exec.Command("nsenter", "--net="+spaces+"net", "--mount="+spaces+"mnt", "--pid="+spaces+"pid_for_children",
		"--wd="+c.dir, "bash", "-c", command)
	o.cmd.Dir, o.cmd.Env = c.dir, c.environment()
	o.cmd.Stdout, o.cmd.Stderr = o.out, o.out
	o.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(c.t, o.cmd.Start())
	go func() { o.ended <- o.cmd.Wait() }()
	c.others = append(c.others, o)
	c.t.Cleanup(func() { _ = syscall.Kill(-o.cmd.Process.Pid, syscall.SIGKILL) })
	deadline := time.Now().Add(consoleWait)
	for !matches(expected, o.out.from(0)) {
		select {
		case err := <-o.ended:
			c.t.Fatalf("%s: ended (%v), which it should not:\n%s", command, err, o.out.from(0))
		case <-time.After(100 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("%s: after %s its output is not as expected:\n%s\nbut:\n%s", command, consoleWait, expected, o.out.from(0))
		}
	}
}

// interrupt presses Ctrl-C where a command goes on, and waits for its end.
func (c *console) interrupt() {
	for _, o := range c.others {
		require.NoError(c.t, syscall.Kill(-o.cmd.Process.Pid, syscall.SIGINT))
		select {
		case <-o.ended:
		case <-time.After(time.Minute):
			c.t.Errorf("Ctrl-C does not end it:\n%s", o.out.from(0))
		}
	}
	c.others = nil
}

// answers says with which status line a page of this machine answers.
func (c *console) answers(address, path string) string {
	host, port, _ := strings.Cut(address, ":")
	out, _ := c.run(fmt.Sprintf(`exec 3<>/dev/tcp/%s/%s && printf 'GET %s HTTP/1.0\r\nHost: %s\r\n\r\n' >&3 && head -n 1 <&3; exec 3>&-`, host, port, path, address))
	return strings.TrimSpace(out)
}

// follow does all that a document says, in its order.
func (c *console) follow(document string) {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join(c.dir, document))
	require.NoError(c.t, err)
	commands := 0
	for _, b := range markdown.Blocks(string(text)) {
		if file := b.Notes["file"]; file != "" {
			require.NoError(c.t, os.WriteFile(filepath.Join(c.dir, file), []byte(b.Text), 0o644))
		}
		if b.Language != "console" {
			continue
		}
		for _, step := range steps(b.Text) {
			commands++
			at := fmt.Sprintf("%s:%d: $ %s", document, b.Line+step.line, step.command)
			c.t.Log(at)
			if b.Notes["terminal"] != "" {
				c.begin(step.command, step.expected)
				continue
			}
			out, code := c.run(step.command)
			if !assert.True(c.t, matches(step.expected, out), "%s\nexpected:\n%s\nbut:\n%s", at, step.expected, out) {
				continue
			}
			// A command that is shown to fail says so in its output.
			if code != 0 {
				assert.Regexp(c.t, `(?m)^(cloud|server): `, step.expected, "%s: exit code %d\n%s", at, code, out)
			}
		}
	}
	require.Positive(c.t, commands, "%s has no commands", document)
}

type step struct {
	command, expected string
	line              int
}

// steps splits a block into commands ("$ …") and what each prints.
func steps(text string) []step {
	var out []step
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			out = append(out, step{command: command, line: i})
		} else if n := len(out); n > 0 && strings.HasSuffix(out[n-1].command, "\\") && out[n-1].expected == "" {
			out[n-1].command += "\n" + line
		} else if n > 0 {
			out[n-1].expected += line + "\n"
		}
	}
	return out
}

// A word that is a measurement, or a unit behind one.
var (
	measuredRE = regexp.MustCompile(`^[(]?(\d+:\d\d(:\d\d)?|\d+\.\d+|\d[\d,]*(\.\d+)?(ms|s|m|h|µs|%|/s)|(\d+m)?\d+s|\d{1,3}(,\d{3})+|–)[,;:)]*$`)
	integerRE  = regexp.MustCompile(`^\d+$`)
	unitRE     = regexp.MustCompile(`^(ms|s|/s|%|B|KiB|MiB|GiB)[,;:)]*$`)
)

// matches says whether out is what a document shows: "..." stands for anything,
// on a line of its own for any lines; blanks count as one; and a measurement (a
// time, a part, an amount with its unit) may be another one.
func matches(expected, out string) bool {
	var re strings.Builder
	re.WriteString(`^`)
	for line := range strings.Lines(expected) {
		line = strings.TrimRight(line, " \n")
		if strings.TrimSpace(line) == "..." {
			re.WriteString(`(?:[^\n]*\n)*?`)
			continue
		}
		words := strings.Fields(line)
		for i, word := range words {
			if i > 0 {
				re.WriteString(` `)
			}
			switch {
			case measuredRE.MatchString(word), integerRE.MatchString(word) && i+1 < len(words) && unitRE.MatchString(words[i+1]):
				re.WriteString(`\S+`)
			case unitRE.MatchString(word) && i > 0:
				re.WriteString(`\S+`)
			default:
				parts := strings.Split(word, "...")
				for j := range parts {
					parts[j] = regexp.QuoteMeta(parts[j])
				}
				re.WriteString(strings.Join(parts, `[^\n]*`))
			}
		}
		re.WriteString(`\n`)
	}
	re.WriteString(`$`)
	var plain strings.Builder
	for line := range strings.Lines(out) {
		plain.WriteString(strings.Join(strings.Fields(line), " ") + "\n")
	}
	return regexp.MustCompile(re.String()).MatchString(plain.String())
}

// transcript can be read while it is written.
type transcript struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *transcript) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *transcript) len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Len()
}

func (o *transcript) from(n int) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.b.Bytes()[n:])
}
