package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Two profiles of pod and pod/docker: what either has run counts once.
const (
	first = `mode: set
github.com/elastipod/elastipod/pod/state.go:1.1,2.2 6 1
github.com/elastipod/elastipod/pod/state.go:3.1,4.2 2 0
github.com/elastipod/elastipod/podium/x.go:1.1,2.2 100 0
`
	second = `mode: atomic
github.com/elastipod/elastipod/pod/state.go:1.1,2.2 6 0
github.com/elastipod/elastipod/pod/docker/usage.go:1.1,2.2 2 17
`
)

func TestProfilesAreAddedUp(t *testing.T) {
	a, b := file(t, first), file(t, second)
	for name, c := range map[string]struct {
		args   []string
		code   int
		stdout string
	}{
		"enough":     {[]string{"-min", "80", "-trees", "pod", a, b}, 0, "ok   pod                                       80.0 % of 10 statements, at least 80 %\n"},
		"too little": {[]string{"-min", "80.1", "-trees", "pod", a, b}, 1, "FAIL pod                                       80.0 % of 10 statements, at least 80.1 %\n"},
		"one alone":  {[]string{"-min", "80", "-trees", "pod", a}, 1, "FAIL pod                                       75.0 % of 8 statements, at least 80 %\n"},
		"no such tree": {[]string{"-trees", "cms,pod", "-min", "70", a}, 1, "FAIL cms                                        0.0 % of 0 statements, at least 70 %\n" +
			"ok   pod                                       75.0 % of 8 statements, at least 70 %\n"},
		"packages": {[]string{"-packages", "-min", "0", "-trees", "pod", a, b}, 0, "     pod                                       75.0 % of 8 statements\n" +
			"     pod/docker                               100.0 % of 2 statements\nok   pod                                       80.0 % of 10 statements, at least 0 %\n"},
	} {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, c.code, run(c.args, &stdout, &stderr), name)
		assert.Equal(t, c.stdout, stdout.String(), name)
		assert.Empty(t, stderr.String(), name)
	}
}

func TestWhatIsNoProfileIsAnError(t *testing.T) {
	for name, args := range map[string][]string{
		"no tree":    {file(t, first)},
		"no profile": {"-trees", "pod"},
		"no file":    {"-trees", "pod", filepath.Join(t.TempDir(), "missing")},
		"other text": {"-trees", "pod", file(t, "ok pod 1.2s\n")},
		"no number":  {"-trees", "pod", file(t, "mode: set\na.go:1.1,2.2 many 1\n")},
		"flag":       {"-most", "9"},
	} {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, 2, run(args, &stdout, &stderr), name)
		assert.NotEmpty(t, stderr.String(), name)
		assert.Empty(t, stdout.String(), name)
	}
}

func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "profile")
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	return name
}
