package dockertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// process is a child whose end is awaited from the start.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed once it has been waited for
}

// spawn starts a program on the engine's side of the network, its output
// appended to the file log.
func (e *Engine) spawn(log, program string, args ...string) (*process, error) {
	out, err := os.OpenFile(filepath.Join(e.dir, log), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	path, err := exec.LookPath(program)
	if err != nil {
		return nil, err
	}
	argv := append([]string{path}, args...)
	if e.net.remote {
		// Not "ip netns exec", which hides the cgroup mounts.
		argv = append([]string{"nsenter", "--net=/run/netns/" + e.net.name()}, argv...)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = hermeticEnv()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C is for the test
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // the state is read from cmd
		close(p.done)
	}()
	return p, nil
}

// hermeticEnv is our environment without proxies and Docker settings, so that
// no test reaches a registry outside.
func hermeticEnv() []string {
	var env []string
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if upper := strings.ToUpper(name); strings.HasSuffix(upper, "_PROXY") || strings.HasPrefix(upper, "DOCKER_") {
			continue
		}
		env = append(env, kv)
	}
	return env
}

// checkPrograms returns an error that names the Debian package of each program
// that is missing.
func checkPrograms(o Options) error {
	if os.Geteuid() != 0 {
		return errors.New("dockertest: private Docker Engines need root")
	}
	need := [][2]string{{"dockerd", "docker.io"}, {"ip", "iproute2"}, {"iptables", "iptables"}}
	if o.Remote {
		need = append(need, [2]string{"nsenter", "util-linux"})
	}
	if o.SSH {
		need = append(need, [2]string{"sshd", "openssh-server"}, [2]string{"ssh", "openssh-client"},
			[2]string{"ssh-keygen", "openssh-client"}, [2]string{"docker", "docker.io"})
	}
	var errs []error
	for _, n := range need {
		if _, err := exec.LookPath(n[0]); err != nil {
			errs = append(errs, fmt.Errorf("dockertest: %s is not installed: apt-get install %s", n[0], n[1]))
		}
	}
	return errors.Join(errs...)
}

// run executes a short command and returns its output.
func run(ctx context.Context, argv ...string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}
