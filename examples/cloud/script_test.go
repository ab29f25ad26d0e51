package main

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/elastipod/elastipod/pod"
)

// Each script has a server of its own. Scripts whose name begins with "token" or
// "tls" have one that asks for tokens, those of "tls" one that speaks TLS, too.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			name := env.T().(testing.TB).Name()
			secure := strings.Contains(name, "/tls")
			s, err := startServer(secure || strings.Contains(name, "/token"), secure)
			if err != nil {
				return err
			}
			env.Defer(s.close)
			if secure {
				ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
				if err := os.WriteFile(filepath.Join(env.WorkDir, "ca.pem"), ca, 0o600); err != nil {
					return err
				}
			}
			env.Values["server"] = s
			env.Setenv("TZ", "UTC")
			// Built with the race detector, each command would sleep for a second
			// at its end, in case that others still run.
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			env.Setenv("TERM", "xterm")
			env.Setenv("CLOUD_SERVER", s.URL)
			env.Setenv("FRONT", s.front)
			env.Setenv("OPERATOR", operatorToken)
			env.Setenv("VIEWER", viewerToken)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":   exits,
			"json":    checkJSON,
			"waitfor": waitFor,
			"ready":   waitReady,
			"called":  waitCalled,
			"load":    setLoad,
			"break":   breakHost,
			"config":  setConfig,
		},
	})
}

// exits CODE COMMAND… runs a command that must exit with that code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARGUMENT…]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, not %d", got, want)
	}
	if got != 0 {
		// Errors are one line that says what to do.
		if n := strings.Count(ts.ReadFile("stderr"), "\n"); n != 1 {
			ts.Fatalf("the error has %d lines", n)
		}
	}
}

// waitfor COMMAND… PATTERN runs a command until its output matches.
func waitFor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: waitfor COMMAND [ARGUMENT…] PATTERN")
	}
	pattern := regexp.MustCompile("(?m)" + args[len(args)-1])
	eventually(ts, "an output that matches "+pattern.String(), func() bool {
		ts.Check(ts.Exec(args[0], args[1:len(args)-1]...))
		return pattern.MatchString(ts.ReadFile("stdout"))
	})
}

func eventually(ts *testscript.TestScript, what string, ok func() bool) {
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("waited in vain for %s", what)
		}
	}
}

// ready waits until the command that runs with CLOUD_TEST_READY set can be
// interrupted, and unsets that.
func waitReady(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: ready")
	}
	path := ts.Getenv("CLOUD_TEST_READY")
	eventually(ts, "the command to start", func() bool {
		_, err := os.Stat(path)
		return err == nil
	})
	ts.Check(os.Remove(path))
	ts.Setenv("CLOUD_TEST_READY", "")
}

// called HOST OPERATION N waits until the host's runtime was asked for that so
// many times.
func waitCalled(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: called HOST OPERATION N")
	}
	h := ts.Value("server").(*testServer).hosts[args[0]]
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	eventually(ts, args[1], func() bool { return len(h.Calls(args[1])) >= n })
}

// json PATH [VALUE] looks at the JSON on the standard output: the value at a path
// such as "items.0.name", or how many elements there are at "items.len". Without a
// value it must be there. A value that begins with ~ is a regular expression.
func checkJSON(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: json PATH [VALUE]")
	}
	var v any
	d := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	d.UseNumber()
	ts.Check(d.Decode(&v))
	got, ok := at(v, strings.Split(args[0], "."))
	if len(args) == 1 {
		if ok == neg {
			ts.Fatalf("%s: present: %v", args[0], ok)
		}
		return
	}
	text := fmt.Sprint(got)
	matches := ok && text == args[1]
	if pattern, found := strings.CutPrefix(args[1], "~"); found {
		matches = ok && regexp.MustCompile(pattern).MatchString(text)
	}
	if matches == neg {
		ts.Fatalf("%s is %q", args[0], text)
	}
}

func at(v any, path []string) (any, bool) {
	for _, p := range path {
		switch x := v.(type) {
		case map[string]any:
			var ok bool
			if v, ok = x[p]; !ok {
				return nil, false
			}
		case []any:
			if p == "len" {
				v = len(x)
				continue
			}
			i, err := strconv.Atoi(p)
			if err != nil || i < 0 || i >= len(x) {
				return nil, false
			}
			v = x[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// load POD CORES makes every node of a pod use that much CPU from now on.
func setLoad(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: load POD CORES")
	}
	cores, err := strconv.ParseFloat(args[1], 64)
	ts.Check(err)
	ts.Value("server").(*testServer).load(args[0], cores)
}

// break HOST starts|delay DURATION makes starts on a host fail, or slow.
func breakHost(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: break HOST starts | break HOST delay DURATION")
	}
	h := ts.Value("server").(*testServer).hosts[args[0]]
	switch args[1] {
	case "starts":
		h.FailStarts(-1, fmt.Errorf("image gone:1: %w", pod.ErrImage))
	case "delay":
		d, err := time.ParseDuration(args[2])
		ts.Check(err)
		h.SetStartDelay(d)
	default:
		ts.Fatalf("break %s: unknown", args[1])
	}
}

// config level|address|faults|same says what the server's configuration file
// differs in.
func setConfig(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: config DIFFERENCE")
	}
	ts.Value("server").(*testServer).differs.Store(args[0])
}
