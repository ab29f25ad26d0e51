package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pressTab is what bash does when a person presses the tab key twice, without the
// package bash-completion.
const pressTab = `
compopt() { :; }
source <(cloud completion bash) || exit
COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=63 COMP_KEY=9
__start_cloud
printf '%s\n' "${COMPREPLY[@]}"
`

// The script for bash works, and offers what there is.
func TestCompletionInBash(t *testing.T) {
	bash, err := exec.LookPath("bash")
	require.NoError(t, err, "bash is missing (Debian package bash)")
	s, err := startServer(false, false)
	require.NoError(t, err)
	defer s.close()
	t.Setenv("CLOUD_SERVER", s.URL)
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	cloud(t, "init")
	cloud(t, "register", "one", "light")
	// The command is this program, under the name that TestMain gives it.
	dir := t.TempDir()
	self, err := os.Executable()
	require.NoError(t, err)
	require.NoError(t, os.Symlink(self, filepath.Join(dir, "cloud")))
	t.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
	files := t.TempDir()
	for _, name := range []string{"web.yaml", "web.txt"} {
		require.NoError(t, os.WriteFile(filepath.Join(files, name), nil, 0o600))
	}
	for line, want := range map[string][]string{
		"cloud laun":                                    {"launch"},
		"cloud launch li":                               {"light"},
		"cloud launch ":                                 {"heavy", "light", "medium"},
		"cloud logs light ":                             {"one"},
		"cloud host cordon lo":                          {"local"},
		"cloud pod ls --output=js":                      {"json"},
		"cloud wait light --for con":                    {"converged"},
		"cloud elasticity enable light 1 2":             nil,
		"cloud elasticity enable light 1 2 --policy th": {"threshold"},
		"cloud apply -f we":                             {"web.yaml"},
		"cloud pod ls --server ":                        nil,
	} {
		cmd := exec.CommandContext(t.Context(), bash, "--norc", "--noprofile", "-c", pressTab, "bash", line)
		cmd.Dir = files
		var errs strings.Builder
		cmd.Stderr = &errs
		out, err := cmd.Output()
		require.NoError(t, err, "%q: %s", line, &errs)
		assert.Empty(t, errs.String(), line)
		var got []string
		for name := range strings.Lines(string(out)) {
			if word, _, _ := strings.Cut(strings.TrimSpace(name), " "); word != "" {
				got = append(got, word)
			}
		}
		assert.ElementsMatch(t, want, got, line)
	}
}

// Every type of event that the server knows is completed.
func TestEventTypesAreThoseOfTheServer(t *testing.T) {
	s, err := startServer(false, false)
	require.NoError(t, err)
	defer s.close()
	_, allowed, found := strings.Cut(fails(t, "events", "--type", "nonsense", "--server", s.URL), "; use ")
	require.True(t, found)
	var want []string
	for i, part := range strings.Split(allowed, `"`) {
		if i%2 == 1 {
			want = append(want, part)
		}
	}
	assert.Subset(t, bare(eventTypes()), want, "add to eventTypes what the server knows")
}
