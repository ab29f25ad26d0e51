package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// openTerminal returns both ends of a pseudo-terminal: the one of the person
// and the one of the program.
func openTerminal(t *testing.T, columns uint16) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	fd := int(person.Fd())
	n, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	require.NoError(t, unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 25, Col: columns}))
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	return person, program
}

// onTerminal runs the command on a terminal and returns what a person saw.
func onTerminal(t *testing.T, ctx context.Context, columns uint16, args ...string) (int, string) {
	t.Helper()
	person, program := openTerminal(t, columns)
	var seen bytes.Buffer
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(&seen, person) // ends with an error when the other end closes
	}()
	code := run(ctx, args, strings.NewReader(""), program, program)
	require.NoError(t, program.Close())
	<-read
	require.NoError(t, person.Close())
	return code, seen.String()
}

var escapes = regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]")

func TestOnATerminal(t *testing.T) {
	before := goleak.IgnoreCurrent()
	defer goleak.VerifyNone(t, before)
	s, err := startServer(false, false)
	require.NoError(t, err)
	defer s.close()
	t.Setenv("CLOUD_SERVER", s.URL)
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	ctx := t.Context()

	do := func(args ...string) string {
		t.Helper()
		code, out := onTerminal(t, ctx, 80, args...)
		require.Equal(t, exitDone, code, out)
		return out
	}
	do("init")
	do("elasticity", "enable", "light", "2", "4")
	require.Eventually(t, func() bool { return len(s.manager.Balancer().Stats.Fronts) == 3 }, 10*time.Second, 10*time.Millisecond)

	t.Run("tables fit, in colour", func(t *testing.T) {
		t.Setenv("CLOUD_CONFIG", filepath.Join(t.TempDir(), "contexts.yaml"))
		do("context", "add", "here", "--server", s.URL)
		for _, x := range []struct {
			args        []string
			first, last string // columns, at any width and at 200
		}{
			{[]string{"init"}, "ELASTIC", "AGE"},
			{[]string{"pod", "ls"}, "ELASTIC", "AGE"},
			{[]string{"node", "ls", "light"}, "HOST", "MEMORY"},
			{[]string{"host", "ls"}, "STATE", "ENGINE"},
			{[]string{"balancer"}, "REQUESTS", "P99"},
			{[]string{"get"}, "SETTINGS", "elastic"},
			{[]string{"context", "ls"}, "SERVER", "TOKEN"},
		} {
			for _, columns := range []uint16{40, 80, 200} {
				code, out := onTerminal(t, ctx, columns, x.args...)
				require.Equal(t, exitDone, code, out)
				assert.Contains(t, out, "\x1b[1m", "%v: headers are bold", x.args)
				out = escapes.ReplaceAllString(out, "")
				assert.Contains(t, out, x.first, "%v at %d", x.args, columns)
				if columns == 200 {
					assert.Contains(t, out, x.last, "%v", x.args)
				}
				for line := range strings.Lines(out) {
					assert.LessOrEqual(t, utf8.RuneCountInString(strings.TrimRight(line, "\r\n")), int(columns), "%v: %q", x.args, line)
				}
			}
		}
		assert.Contains(t, do("pod", "ls"), "\x1b[32mactive\x1b[0m")
	})
	t.Run("no colour where it is not wanted", func(t *testing.T) {
		var piped bytes.Buffer
		require.Equal(t, exitDone, run(ctx, []string{"pod", "ls"}, strings.NewReader(""), &piped, &piped))
		assert.NotContains(t, piped.String(), "\x1b", "in a pipe")
		t.Setenv("NO_COLOR", "1")
		for _, args := range [][]string{{"pod", "ls"}, {"why", "light"}, {"events"}, {"doctor"}, {"pod", "show", "light"}, {"logs", "light"}} {
			_, out := onTerminal(t, ctx, 80, args...)
			assert.NotContains(t, out, "\x1b", "%v", args)
		}
	})
	t.Run("a wait shows what goes on, from a second on", func(t *testing.T) {
		do("register", "slow", "medium")
		s.hosts["local"].SetStartDelay(2 * time.Second)
		out := do("launch", "medium")
		s.hosts["local"].SetStartDelay(0)
		assert.Contains(t, out, "launching node slow")
		assert.Regexp(t, `Node slow of pod medium is online on host local, after [0-9.]+s\.\r\n$`, out)
	})
	t.Run("a short one does not", func(t *testing.T) {
		do("register", "quick", "heavy")
		began := time.Now()
		if out := do("launch", "heavy", "--no-wait"); time.Since(began) < patience {
			assert.NotContains(t, out, "launching")
		}
	})
	t.Run("load shows how it goes", func(t *testing.T) {
		out := do("request", "light", "--rate", "50", "--for", "1s")
		assert.Regexp(t, `[0-9]+/s  [0-9]+ ok  0 failed  [0-9]+ in flight  p99 `, out)
		assert.Contains(t, escapes.ReplaceAllString(out, ""), "100% (50 of 50)")
	})
	t.Run("following ends without a word when it is interrupted", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(ctx, 1500*time.Millisecond)
		defer cancel()
		code, out := onTerminal(t, ctx, 80, "events", "-f")
		assert.Equal(t, exitDone, code)
		assert.Contains(t, out, "pod light was created")
	})
}
