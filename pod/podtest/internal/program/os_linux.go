package program

import (
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// OS returns the system of this process. args are the program's own arguments,
// self is the argument vector that comes before them.
func OS(args, self []string) System {
	if len(args) > 0 && args[0] == "far" { // the intermediate of Spawn
		if err := start(self, "child"); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	term := make(chan struct{})
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM)
	if len(args) > 0 && args[0] == "child" { // as stubborn as a descendant can be
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	}
	go func() {
		<-c
		close(term)
	}()
	env := map[string]string{}
	for _, kv := range os.Environ() {
		k, v, _ := strings.Cut(kv, "=")
		env[k] = v
	}
	return System{
		Args:   args,
		Env:    env,
		Out:    os.Stdout,
		Term:   term,
		Listen: func(port string) (net.Listener, error) { return net.Listen("tcp", ":"+port) },
		Secret: func(name string) ([]byte, error) {
			dir := env["ELASTIPOD_SECRETS"]
			if dir == "" {
				dir = "/run/secrets"
			}
			return os.ReadFile(filepath.Join(dir, filepath.Base(name)))
		},
		Burn: burn,
		Signal: func(n int) {
			// By the default action, also as PID 1 of a container, where the
			// kernel drops signals that nobody handles.
			if os.Getpid() == 1 {
				os.Exit(128 + n)
			}
			_ = syscall.Kill(os.Getpid(), syscall.Signal(n))
		},
		Spawn: func(far bool) error {
			if far {
				return start(self, "far")
			}
			return start(self, "child")
		},
	}
}

// start starts this program again in a session of its own. The child keeps our
// output, as daemons by mistake do.
func start(self []string, args ...string) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	argv := append(slices.Clone(self[1:]), args...)
	cmd := exec.Command(exe, argv...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	if args[0] == "far" {
		return cmd.Wait()
	}
	return nil
}

// burn uses this much CPU time of the process, all threads together.
func burn(d time.Duration) {
	used := func() time.Duration {
		var r unix.Rusage
		if unix.Getrusage(unix.RUSAGE_SELF, &r) != nil {
			return 0
		}
		return time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	x := 1.0
	for until := used() + d; used() < until; {
		for range 10_000 {
			x = x*1.0000001 + 1
		}
	}
	_ = x
}
