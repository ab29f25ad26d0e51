package haproxy

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// copyOfForeign is what somebody else had written last.
func copyOfForeign(t testing.TB, b *Balancer) string {
	t.Helper()
	text, err := os.ReadFile(b.cfg.path(configFile + backupSuffix))
	require.NoError(t, err)
	return string(text)
}

func TestForeignChangeIsToldAndKept(t *testing.T) {
	b := openHasty(t)
	f, _ := serving(t, b)
	path := b.cfg.path(configFile)
	ours, err := os.ReadFile(path)
	require.NoError(t, err)
	for i, text := range []string{
		strings.Replace(string(ours), "maxconn", "# mine\n  maxconn", 1),
		"this is no configuration {{{\n",
		"",
	} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		require.Eventually(t, func() bool { return strings.Contains(problems(t, b), "changed by somebody else") }, 5*time.Second, 20*time.Millisecond)
		incident(t, b, path+" was changed by somebody else")
		now, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, text, string(now), "nobody touches it before there is something to write")
		require.NoError(t, get(f.Listen))

		f.MaxConn = 10 + i
		setFront(t, b, f)
		assert.Equal(t, text, copyOfForeign(t, b))
		require.Eventually(t, func() bool { return problems(t, b) == "" }, 5*time.Second, 20*time.Millisecond)
		require.NoError(t, get(f.Listen))
	}

	// What is taken back is no problem any more.
	ours, err = os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, []byte("# mine\n"), 0o600))
	require.Eventually(t, func() bool { return problems(t, b) != "" }, 5*time.Second, 20*time.Millisecond)
	require.NoError(t, os.WriteFile(path, ours, 0o600))
	require.Eventually(t, func() bool { return problems(t, b) == "" }, 5*time.Second, 20*time.Millisecond)
	assert.Empty(t, copyOfForeign(t, b), "the one before it")

	// A file that is gone is written again.
	require.NoError(t, os.Remove(path))
	require.Eventually(t, func() bool { return strings.Contains(problems(t, b), "is gone") }, 5*time.Second, 20*time.Millisecond)
	f.MaxConn = 50
	setFront(t, b, f)
	require.FileExists(t, path)
	assert.Empty(t, problems(t, b))
	require.NoError(t, get(f.Listen))
}

// Somebody changed the file while no manager ran, or so that the library cannot
// read it.
func TestForeignChangeWhileNobodyManages(t *testing.T) {
	dir := testDir(t)
	b := reopenBalancer(t, dir)
	f, _ := serving(t, b)
	pid := b.PID()
	require.NoError(t, b.Close())
	text := "frontend\nfrontend {{{\n\x00"
	require.NoError(t, os.WriteFile(filepath.Join(dir, configFile), []byte(text), 0o600))
	b = reopenBalancer(t, dir)
	assert.Equal(t, pid, b.PID())
	assert.Contains(t, problems(t, b), "changed by somebody else")
	f.MaxConn = 5
	setFront(t, b, f)
	require.NoError(t, get(f.Listen))
	assert.Equal(t, text, copyOfForeign(t, b))
}

// A manager that is killed before it noted what it wrote knows its own file.
func TestOwnFileIsNotForeign(t *testing.T) {
	dir := testDir(t)
	b := reopenBalancer(t, dir)
	serving(t, b)
	require.NoError(t, b.Close())
	st, err := b.cfg.loadState()
	require.NoError(t, err)
	running := st.Current
	st.Next, st.Current.Number = &running, running.Number-1
	require.NoError(t, b.cfg.saveState(st))
	b = reopenBalancer(t, dir)
	assert.Empty(t, problems(t, b))
	assert.NoFileExists(t, b.cfg.path(configFile+backupSuffix))
}

// Somebody reloads HAProxy with a configuration of his own: it is taken back,
// and kept.
func TestForeignReloadIsTakenBack(t *testing.T) {
	b := openHasty(t)
	f, a := serving(t, b)
	text := "global\n  stats socket " + b.cfg.socket(statsSocket) + " level admin expose-fd listeners\n" +
		"defaults\n  mode http\n  timeout client 9s\n  timeout server 9s\n  timeout connect 9s\n" +
		"frontend web\n  bind " + f.Listen + "\n  http-request return status 418\n"
	require.NoError(t, os.WriteFile(b.cfg.path(configFile), []byte(text), 0o600))
	require.NoError(t, syscall.Kill(b.PID(), syscall.SIGUSR2))
	require.Eventually(t, func() bool {
		err := get(f.Listen)
		return err != nil && strings.Contains(err.Error(), "418")
	}, 5*time.Second, 20*time.Millisecond)
	apply(t, b, "web", a.server())
	require.NoError(t, get(f.Listen))
	assert.Equal(t, text, copyOfForeign(t, b))
}
