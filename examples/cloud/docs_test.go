package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// cloud runs a command that must succeed, and returns what it printed.
func cloud(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	require.Equal(t, exitDone, run(t.Context(), args, strings.NewReader(""), &out, &errs), "cloud %v: %s", args, &errs)
	return out.String()
}

func TestReferenceIsUpToDate(t *testing.T) {
	dir := t.TempDir()
	cloud(t, "docs", "markdown", dir)
	made, err := os.ReadFile(filepath.Join(dir, referenceFile))
	require.NoError(t, err)
	kept, err := os.ReadFile(referenceFile)
	require.NoError(t, err)
	require.Equal(t, string(kept), string(made), "the commands have changed: go generate ./examples/cloud")
}

func TestReferenceHasEveryCommand(t *testing.T) {
	kept, err := os.ReadFile(referenceFile)
	require.NoError(t, err)
	text := string(kept)
	everyCommand((&app{}).root(), func(c *cobra.Command) {
		if c.HasSubCommands() || c.Hidden || c.HasParent() && c.Parent().Hidden || c.Name() == "help" {
			return
		}
		_, section, found := strings.Cut(text, "\n## "+c.CommandPath()+"\n")
		require.True(t, found, c.CommandPath())
		section, _, _ = strings.Cut(section, "\n## ")
		assert.Contains(t, text, "["+c.CommandPath()+"](#"+anchor(c)+")")
		for line := range strings.Lines(c.Example) {
			assert.Contains(t, section, strings.TrimSpace(line), c.CommandPath())
		}
	})
	for line := range strings.Lines(text) {
		assert.Equal(t, strings.TrimRight(line, " \t\n")+"\n", line, "blanks at the end of a line")
	}
}

func TestManPages(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1795000000")
	dir, again := t.TempDir(), t.TempDir()
	cloud(t, "docs", "man", dir)
	cloud(t, "docs", "man", again)
	groff, lookErr := exec.LookPath("groff")
	pages := 0
	everyCommand((&app{}).root(), func(c *cobra.Command) {
		if c.Hidden || c.HasParent() && c.Parent().Hidden || c.Name() == "help" {
			return
		}
		pages++
		name := strings.ReplaceAll(c.CommandPath(), " ", "-") + ".1"
		page, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		twin, err := os.ReadFile(filepath.Join(again, name))
		require.NoError(t, err)
		assert.Equal(t, string(twin), string(page), "%s: the same for the same source", name)
		text := string(page)
		assert.Contains(t, text, `"Nov 2026" "cloud `, name)
		for _, heading := range []string{"NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLE"} {
			assert.Contains(t, text, ".SH "+heading+"\n", name)
		}
		for line := range strings.Lines(text) {
			assert.NotRegexp(t, `^'`, line, "%s: a line that is taken for a request", name)
		}
		if lookErr != nil {
			return // what is above is what can be told without it
		}
		var warnings bytes.Buffer
		cmd := exec.CommandContext(t.Context(), groff, "-K", "utf8", "-man", "-Tutf8", "-ww", filepath.Join(dir, name))
		cmd.Stderr = &warnings
		out, err := cmd.Output()
		require.NoError(t, err, "%s: %s", name, &warnings)
		assert.Empty(t, warnings.String(), name)
		assert.Contains(t, string(out), strings.Fields(c.Short)[0], name)
	})
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, files, pages, "a page for each command, and none besides")

	t.Setenv("SOURCE_DATE_EPOCH", "today")
	var errs bytes.Buffer
	assert.Equal(t, exitUsage, run(t.Context(), []string{"docs", "man", dir}, nil, &errs, &errs))
	assert.Contains(t, errs.String(), "not a number of seconds")
}
