package crashpoint_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/internal/crashpoint"
)

func TestProcessDiesWhereItIsTold(t *testing.T) {
	build := func(flags ...string) string {
		path := filepath.Join(t.TempDir(), "program")
		out, err := exec.CommandContext(t.Context(), "go", append(append([]string{"build", "-o", path}, flags...), "./testdata/program")...).CombinedOutput()
		require.NoError(t, err, "%s", out)
		return path
	}
	hooked, plain := build("-tags", "crashpoint"), build()
	c := crashpoint.Control{Dir: t.TempDir()}
	run := func(path string) (out string, killed bool) {
		cmd := exec.CommandContext(t.Context(), path)
		cmd.Env = append(os.Environ(), crashpoint.DirEnv+"="+c.Dir)
		text, _ := cmd.Output()
		status := cmd.ProcessState.Sys().(syscall.WaitStatus)
		return string(text), status.Signaled() && status.Signal() == syscall.SIGKILL
	}
	expect := func(path, out string, killed bool) {
		t.Helper()
		gotOut, gotKilled := run(path)
		assert.Equal(t, out, gotOut)
		assert.Equal(t, killed, gotKilled)
	}
	expect(hooked, "0123", false)
	require.NoError(t, c.Arm("store/written", 1))
	expect(hooked, "", true)
	require.NoError(t, c.Arm("store/begun", 3))
	expect(hooked, "01", true)
	expect(plain, "0123", false)
	require.NoError(t, c.Arm("store/begun", 5))
	expect(hooked, "0123", false)
	require.NoError(t, c.Disarm())
	require.NoError(t, c.Record())
	expect(hooked, "0123", false)
	expect(plain, "0123", false)
	passed, err := c.Passed()
	require.NoError(t, err)
	assert.Equal(t, strings.Fields(strings.Repeat("store/begun store/written ", 4)), passed)
	require.NoError(t, c.Disarm())
	require.NoError(t, c.LeaveOut(crashpoint.RemoveFront))
	expect(hooked, "0123 remove-front", false)
	expect(plain, "0123", false)
	died, err := c.Died()
	require.NoError(t, err)
	assert.Equal(t, []string{"store/written", "store/begun"}, died)
}
