package dockertest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"time"
)

const sshPort = "2222"

// startSSH runs an ssh server beside the engine, with throw-away keys, whose
// sessions find the engine in DOCKER_HOST.
func (e *Engine) startSSH(ctx context.Context) error {
	me, err := user.Current()
	if err != nil {
		return err
	}
	sshd, err := exec.LookPath("sshd") // which insists on an absolute path
	if err != nil {
		return err
	}
	ssh, err := exec.LookPath("ssh")
	if err != nil {
		return err
	}
	dir := filepath.Join(e.dir, "ssh")
	e.SSHPath = filepath.Join(dir, "bin")
	for _, d := range []string{dir, e.SSHPath, "/run/sshd"} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	for _, key := range []string{"host", "client"} {
		if _, err := run(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "elastipod-test", "-f", filepath.Join(dir, key)); err != nil {
			return err
		}
	}
	hostKey, err := os.ReadFile(filepath.Join(dir, "host.pub"))
	if err != nil {
		return err
	}
	server := fmt.Sprintf(`ListenAddress %s:%s
HostKey %s/host
PidFile none
AuthorizedKeysFile %s/client.pub
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
SetEnv DOCKER_HOST=%s
MaxStartups 100
MaxSessions 100
`, e.IP, sshPort, dir, dir, e.Address())
	config := fmt.Sprintf(`Host *
  IdentityFile %s/client
  IdentitiesOnly yes
  UserKnownHostsFile %s/known_hosts
  StrictHostKeyChecking yes
  LogLevel ERROR
`, dir, dir)
	for name, file := range map[string]struct {
		content string
		mode    os.FileMode
	}{
		"sshd_config": {server, 0o600},
		"ssh_config":  {config, 0o600},
		"known_hosts": {fmt.Sprintf("[%s]:%s %s", e.IP, sshPort, hostKey), 0o600},
		"bin/ssh":     {fmt.Sprintf("#!/bin/sh\nexec %s -F %s/ssh_config \"$@\"\n", ssh, dir), 0o755},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(file.content), file.mode); err != nil {
			return err
		}
	}
	if e.sshd, err = e.spawn("sshd.log", sshd, "-D", "-e", "-f", filepath.Join(dir, "sshd_config")); err != nil {
		return err
	}
	e.SSH = "ssh://" + me.Username + "@" + net.JoinHostPort(e.IP, sshPort)
	return awaitPort(ctx, net.JoinHostPort(e.IP, sshPort), e.sshd)
}

func awaitPort(ctx context.Context, address string, p *process) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, errors.New("sshd did not listen in time"))
	defer cancel()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-p.done:
			return fmt.Errorf("sshd ended: %v", p.cmd.ProcessState)
		case <-poll.C:
		}
	}
}
