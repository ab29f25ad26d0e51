package elastipod_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Lines of "go test -json".
const (
	passes = `{"Time":"2026-01-02T03:04:05Z","Action":"pass","Package":"github.com/elastipod/elastipod/pod","Test":"TestA","Elapsed":1.5}
{"Action":"pass","Package":"github.com/elastipod/elastipod/pod","Elapsed":1.5}
{"Action":"skip","Package":"github.com/elastipod/elastipod/internal/fault","Elapsed":0}
`
	says   = `{"Action":"output","Package":"github.com/elastipod/elastipod/pod","Test":"TestB","Output":"{\"Action\":\"skip\",\"Package\":\"a\",\"Test\":\"TestZ\"}\n"}` + "\n"
	fails  = `{"Action":"fail","Package":"github.com/elastipod/elastipod/pod","Test":"TestB/1","Elapsed":0}` + "\n"
	skips  = `{"Action":"skip","Package":"github.com/elastipod/elastipod/pod","Test":"TestC","Elapsed":0}` + "\n"
	breaks = `{"ImportPath":"github.com/elastipod/elastipod/pod","Action":"build-fail"}
{"Action":"fail","Package":"github.com/elastipod/elastipod/pod","Elapsed":0,"FailedBuild":"github.com/elastipod/elastipod/pod"}
`
)

// TestChecksOfTests: the check of what tests said lets nothing through.
func TestChecksOfTests(t *testing.T) {
	for name, c := range map[string]struct {
		saved, list string
		code        int
		says        string
	}{
		"passes":               {passes + says, "", 0, "1 passed, 0 failed, 0 skipped\n"},
		"fails":                {passes + fails, "", 1, "fail pod TestB/1"},
		"skips":                {passes + skips, "", 1, "skip pod TestC"},
		"does not build":       {passes + breaks, "", 1, "fail pod"},
		"no tests":             {says, "", 1, "no test passed"},
		"required and passed":  {passes, "pod TestA # why\n", 0, "1 passed, 0 failed, 0 skipped\n"},
		"required and missing": {passes, "pod TestA\npod TestZ\n", 1, "did not pass: pod TestZ"},
		"required and failed":  {passes + fails, "pod TestB/1\n", 1, "did not pass: pod TestB/1"},
		"required and skipped": {passes + skips, "pod TestC\n", 1, "did not pass: pod TestC"},
		"part of a name":       {passes, "pod Test\n", 1, "did not pass: pod Test"},
		"bad list":             {passes, "TestA\n", 2, "not a package and a test: TestA"},
		"empty list":           {passes, "# nothing\n", 2, "names no test"},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{written(t, c.saved)}
			if c.list != "" {
				args = append([]string{"-require", written(t, c.list)}, args...)
			}
			code, out := run(t, "./.ci/passed", args...)
			assert.Equal(t, c.code, code, out)
			assert.Contains(t, out, c.says)
		})
	}
	code, out := run(t, "./.ci/passed", filepath.Join(t.TempDir(), "missing"))
	assert.NotZero(t, code, out)
}

// A block counts once, as run where the tests of any package run it.
func TestChecksOfCoverage(t *testing.T) {
	profile := written(t, `mode: set
github.com/elastipod/elastipod/pod/state.go:1.1,2.2 6 1
github.com/elastipod/elastipod/pod/state.go:3.1,4.2 2 0
github.com/elastipod/elastipod/podium/x.go:1.1,2.2 100 0
github.com/elastipod/elastipod/pod/state.go:1.1,2.2 6 0
github.com/elastipod/elastipod/pod/docker/usage.go:1.1,2.2 2 17
`)
	for name, c := range map[string]struct {
		min, trees string
		code       int
		says       string
	}{
		"enough":       {"80", "pod", 0, "ok   pod       80.0 % of 10 statements, at least 80 %\n"},
		"too little":   {"81", "pod", 1, "FAIL pod       80.0 % of 10 statements, at least 81 %\n"},
		"no such tree": {"70", "cms pod", 1, "FAIL cms        0.0 % of 0 statements, at least 70 %\nok   pod       80.0 % of 10 statements, at least 70 %\n"},
	} {
		code, out := run(t, "awk", "-v", "min="+c.min, "-v", "trees="+c.trees, "-f", ".ci/covered.awk", profile)
		assert.Equal(t, c.code, code, name)
		assert.Equal(t, c.says, out, name)
	}
}

// run runs a program and returns its exit code and all that it said.
func run(t *testing.T, program string, args ...string) (code int, out string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	text, err := cmd.CombinedOutput()
	if _, exited := err.(*exec.ExitError); err != nil && !exited { //nolint:errorlint // as Run returns it
		require.NoError(t, err)
	}
	return cmd.ProcessState.ExitCode(), string(text)
}

func written(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	return name
}
