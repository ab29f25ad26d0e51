package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const program = "/usr/local/bin/elastipod-server"

// units copies the shipped units into a directory, changed, with a program that
// is there.
func units(t *testing.T, change func(string) string) string {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	dir := t.TempDir()
	for _, name := range []string{"elastipod.service", "elastipod.socket"} {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(change(strings.ReplaceAll(string(data), program, exe))), 0o644))
	}
	return dir
}

func analyze(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("systemd-analyze")
	require.NoError(t, err, "install the Debian package systemd")
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// systemd has nothing to say against the shipped units; against others it has.
func TestUnits(t *testing.T) {
	verify := []string{"verify", "--man=no", "./elastipod.service", "./elastipod.socket"}
	out, err := analyze(t, units(t, func(s string) string { return s }), verify...)
	require.NoError(t, err, out)
	assert.Empty(t, out)
	for from, to := range map[string]string{"KillMode=": "KillMod=", "WatchdogSec=30s": "WatchdogSec=soon", "ListenStream=": "ListenSteam="} {
		out, _ := analyze(t, units(t, func(s string) string { return strings.ReplaceAll(s, from, to) }), verify...)
		assert.NotEmpty(t, out, to)
	}
}

// The unit takes from the service what it does not need. 0 is nothing at all, 10
// everything; what is left is told beside each line that is missing.
func TestUnitIsHardened(t *testing.T) {
	dir := units(t, func(s string) string { return s })
	out, err := analyze(t, dir, "security", "--offline=true", "--no-pager", "--threshold=25", "./elastipod.service")
	require.NoError(t, err, out)
	t.Log(regexp.MustCompile(`Overall.*`).FindString(out))
	_, err = analyze(t, units(t, func(s string) string {
		return strings.ReplaceAll(s, "ProtectSystem=strict", "AmbientCapabilities=CAP_SYS_ADMIN\nUser=root")
	}),
		"security", "--offline=true", "--no-pager", "--threshold=25", "./elastipod.service")
	require.Error(t, err, "the measure can fail")
}

// What outlives the manager, and what it is told, hangs on these.
func TestUnitKeepsWhatItPromises(t *testing.T) {
	data, err := os.ReadFile("elastipod.service")
	require.NoError(t, err)
	unit := "\n" + string(data)
	for _, line := range []string{"Type=notify", "KillMode=process", "OOMPolicy=continue", "RuntimeDirectoryPreserve=yes", "StateDirectory=elastipod",
		"Restart=on-failure", "SupplementaryGroups=docker"} {
		assert.Contains(t, unit, "\n"+line+"\n")
	}
	assert.NotContains(t, unit, "\nRestartPreventExitStatus=", "a program of Go that panics, or that the watchdog ends, has the code of a wrong flag")
	assert.NotContains(t, unit, "\nPrivateTmp=", "it is emptied under what outlives the manager")
}

// The flags in the unit are those of the server, and what it tells the user to
// put there is enough for it.
func TestUnitStartsTheServer(t *testing.T) {
	data, err := os.ReadFile("elastipod.service")
	require.NoError(t, err)
	commands := regexp.MustCompile(`(?m)^Exec(?:Start|Reload)=`+program+` (.*)$`).FindAllStringSubmatch(string(data), -1)
	require.Len(t, commands, 2)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "server.yaml"), []byte("stack: docker\n"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tokens"), []byte("ops operator 0123456789abcdef\n"), 0o600))
	// systemd lets the service's user read credentials through an access list,
	// which shows as rights of the group.
	require.NoError(t, os.Chmod(filepath.Join(dir, "tokens"), 0o440))
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	t.Setenv("STATE_DIRECTORY", dir)
	for _, c := range commands {
		line := strings.NewReplacer("/etc/elastipod", dir, "${CREDENTIALS_DIRECTORY}", dir).Replace(c[1])
		args := strings.Fields(line)
		if !strings.Contains(line, "--check") {
			args = append(args, "--check")
		}
		var out, errs bytes.Buffer
		assert.Zero(t, run(context.Background(), args, &out, &errs), errs.String())
		assert.Contains(t, out.String(), "the configuration is good: cluster elastipod, stack docker")
	}
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	var errs bytes.Buffer
	assert.Equal(t, 2, run(context.Background(), []string{"--check", "--token-file", filepath.Join(dir, "tokens")}, &bytes.Buffer{}, &errs))
	assert.Contains(t, errs.String(), "can be read by others (mode 0440)")
}
