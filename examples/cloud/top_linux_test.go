package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// person is somebody at a terminal on which top runs.
type person struct {
	t    *testing.T
	tty  *os.File
	done chan struct{}
	code int

	mu   sync.Mutex
	seen bytes.Buffer
}

func watchTop(ctx context.Context, t *testing.T, args ...string) *person {
	t.Helper()
	tty, program := openTerminal(t, 90)
	ctx, stop := context.WithCancel(ctx)
	p := &person{t: t, tty: tty, done: make(chan struct{})}
	var reading sync.WaitGroup
	reading.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, err := tty.Read(buf)
			p.mu.Lock()
			p.seen.Write(buf[:n])
			p.mu.Unlock()
			if err != nil { // the other end is closed
				return
			}
		}
	})
	go func() {
		defer close(p.done)
		p.code = run(ctx, append([]string{"top"}, args...), program, program, program)
		_ = program.Close()
		reading.Wait()
		_ = tty.Close()
	}()
	t.Cleanup(func() {
		stop()
		<-p.done
	})
	return p
}

func (p *person) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return escapes.ReplaceAllString(p.seen.String(), "")
}

// sees waits until something is shown from now on, after keys are pressed.
func (p *person) sees(keys, text string) {
	p.t.Helper()
	p.mu.Lock()
	if keys != "" {
		p.seen.Reset()
	}
	p.mu.Unlock()
	_, err := io.WriteString(p.tty, keys)
	require.NoError(p.t, err)
	if !assert.Eventually(p.t, func() bool { return strings.Contains(p.text(), text) }, 20*time.Second, 20*time.Millisecond) {
		p.t.Fatalf("after %q no %q, but %q", keys, text, p.text())
	}
}

func (p *person) leaves(keys string) {
	p.t.Helper()
	_, err := io.WriteString(p.tty, keys)
	require.NoError(p.t, err)
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		p.t.Fatal("top goes on")
	}
	assert.Equal(p.t, exitDone, p.code)
}

func TestTopOnATerminal(t *testing.T) {
	before := goleak.IgnoreCurrent()
	defer goleak.VerifyNone(t, before,
		// Bubble Tea waits half a second for the end of its reader of the
		// terminal, then leaves it: the program ends anyway.
		goleak.IgnoreAnyFunction("charm.land/bubbletea/v2.(*Program).readLoop"),
		goleak.IgnoreAnyFunction("github.com/charmbracelet/ultraviolet.(*TerminalReader).sendBytes"))
	s, err := startServer(false, false)
	require.NoError(t, err)
	defer s.close()
	t.Setenv("CLOUD_SERVER", s.URL)
	t.Setenv("TERM", "xterm-256color")
	t.Setenv("NO_COLOR", "")
	do := func(args ...string) {
		t.Helper()
		var out bytes.Buffer
		require.Equal(t, exitDone, run(t.Context(), args, strings.NewReader(""), &out, &out), out.String())
	}
	do("init")

	p := watchTop(t.Context(), t)
	p.sees("", "heavy")
	p.sees("", "live")
	p.sees("", "local") // the host

	// What happens is shown without a key.
	do("elasticity", "enable", "light", "1", "2")
	p.sees("", "1 to 2")

	// The chosen pod, heavy, light or medium: the second by name.
	p.sees("j\r", "elastic from 1 to 2")
	p.sees("", "The last changes, newest first:")
	p.sees("q", "choose")
	p.sees("p", "Pause pod light?")
	p.sees("n", "left as it is")
	p.sees("p", "Pause pod light?")
	p.sees("y", "paused")
	require.Eventually(t, func() bool {
		pod, err := s.manager.Pod("light")
		return err == nil && pod.State == "paused"
	}, 10*time.Second, 20*time.Millisecond)
	p.sees("r", "resum")
	require.Eventually(t, func() bool {
		pod, err := s.manager.Pod("light")
		return err == nil && pod.State == "active"
	}, 10*time.Second, 20*time.Millisecond)
	p.sees("l", "elasticity") // which launches by itself

	p.sees("s", "state")
	p.sees("S", "reversed")
	p.sees("/medi", "enter: keep it")
	p.sees("\r", "choose")
	do("register", "by-hand", "medium")
	p.sees("l", "node by-hand of pod medium is being started")
	p.sees("?", "sort the other way round")
	p.leaves("qq")
	assert.Contains(t, p.seen.String(), "\x1b[?1049l", "the screen is given back")

	t.Run("an interrupt ends it", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p := watchTop(ctx, t)
		p.sees("", "live")
		cancel()
		p.leaves("")
	})
	t.Run("a server that goes away", func(t *testing.T) {
		p := watchTop(t.Context(), t)
		p.sees("", "live")
		s.CloseClientConnections()
		s.Listener.Close()
		p.sees("", "disconnected, last seen")
		p.leaves("\x03")
	})
}
