package process

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/podtest"
)

const (
	supervisorArg = "process-supervisor"
	managerArg    = "process-manager"
)

func TestMain(m *testing.M) {
	podtest.HelperMain()
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case supervisorArg:
			os.Exit(Supervise(os.Args[2:]))
		case "supervise": // the argument of the example
			os.Exit(Supervise(os.Args[2:]))
		case managerArg:
			os.Exit(manage(os.Args[2:]))
		}
	}
	// Supervisors whose manager was killed become children of this process, so
	// that the tests leave no zombies where PID 1 does not reap.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		for {
			if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != nil || pid <= 0 {
				os.Exit(code)
			}
		}
	}))
}

// stopError returns what went wrong in a stop.
func stopError(_ []string, err error) error { return err }

// childEnv is the environment of processes that this program becomes. Built with
// -race they would sleep for a second before they exit; built with -cover they
// say where they write what was run, and complain where they do not know.
func childEnv() map[string]string {
	return map[string]string{"GORACE": "atexit_sleep_ms=0", "GOCOVERDIR": os.Getenv("GOCOVERDIR")}
}

func self() string {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return exe
}

func helper(args ...string) pod.Workload {
	return pod.Workload{Command: append([]string{self(), podtest.HelperArg}, args...), Env: childEnv()}
}

func config(dir string, c pod.Cluster) Config {
	supervisor := []string{"/usr/bin/env"}
	for k, v := range childEnv() {
		supervisor = append(supervisor, k+"="+v)
	}
	return Config{Cluster: c, Dir: dir, Supervisor: append(supervisor, self(), supervisorArg)}
}

func TestConformance(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	podtest.Run(t, podtest.Harness{
		Open: func(t *testing.T, c pod.Cluster) pod.Runtime {
			r, err := New(config(dir, c))
			require.NoError(t, err)
			return r
		},
		Workload: helper,
		Missing:  pod.Workload{Command: []string{"no-such-program"}},
		Unsupported: map[string]pod.Workload{
			"image":   {Image: "nginx"},
			"mounts":  {Command: []string{"true"}, Mounts: []pod.Mount{{Kind: pod.MountTmpfs, Target: "/tmp"}}},
			"network": {Command: []string{"true"}, Networks: []string{"x"}},
			"strict":  {Command: []string{"true"}, Security: pod.SecurityStrict},
			"target":  {Command: []string{"true"}, Secrets: []pod.Secret{{Name: "a", FromEnv: "A", Target: "/etc/a"}}},
		},
	})
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	require.Empty(t, left, "nothing is left behind")
}
