package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func everyCommand(c *cobra.Command, f func(*cobra.Command)) {
	f(c)
	for _, sub := range c.Commands() {
		everyCommand(sub, f)
	}
}

func TestEveryCommandExplainsItself(t *testing.T) {
	everyCommand((&app{}).root(), func(c *cobra.Command) {
		path := c.CommandPath()
		assert.NotEmpty(t, c.Short, path)
		assert.NotEmpty(t, c.Long, path)
		assert.NotEmpty(t, c.Example, path)
		assert.NotEqual(t, c.Short, c.Long, path)
		assert.False(t, strings.HasSuffix(c.Short, "."), "%s: no full stop after a short text", path)
		for line := range strings.Lines(c.Long) {
			assert.LessOrEqual(t, len([]rune(strings.TrimRight(line, "\n"))), 110, "%s: %s", path, line)
		}
	})
}

// The examples are commands that exist, with flags that exist.
func TestExamplesAreRight(t *testing.T) {
	everyCommand((&app{}).root(), func(c *cobra.Command) {
		for line := range strings.Lines(c.Example) {
			checkExample(t, strings.TrimSpace(line))
		}
	})
}

// checkExample checks that the commands of a line exist, and take what they are given.
func checkExample(t *testing.T, line string) {
	t.Helper()
	if i := strings.Index(line, "<("); i >= 0 {
		line = strings.TrimSuffix(line[i+2:], ")")
	}
	for _, part := range strings.Split(line, " | ") {
		part, _, _ = strings.Cut(part, " > ")
		words := splitWords(part)
		if slices.Contains([]string{"gzip", "gunzip"}, words[0]) {
			continue // what others read and write
		}
		require.Equal(t, "cloud", words[0], line)
		root := (&app{}).root() // flags keep their values
		found, args, err := root.Find(words[1:])
		require.NoError(t, err, line)
		require.NotSame(t, root, found, line)
		require.NoError(t, found.ParseFlags(args), line)
		if args := found.Flags().Args(); found.Args != nil && found.Name() != "help" {
			assert.NoError(t, found.Args(found, args), line)
		}
	}
}

// splitWords splits at blanks outside of single quotes.
func splitWords(s string) []string {
	var words []string
	for i, part := range strings.Split(s, "'") {
		if i%2 == 1 {
			words = append(words, part)
			continue
		}
		words = append(words, strings.Fields(part)...)
	}
	return words
}

// The words of the system that this one grew from stay.
func TestWordsOfOld(t *testing.T) {
	for _, words := range []string{
		"init", "pod register", "pod rm", "pod ls", "register", "rm", "launch", "pause", "resume", "node ls",
		"elasticity enable", "elasticity disable", "elasticity lower_threshold", "elasticity upper_threshold", "request",
	} {
		root := (&app{}).root()
		c, rest, err := root.Find(strings.Fields(words))
		require.NoError(t, err)
		assert.Empty(t, rest, words)
		assert.Equal(t, "cloud "+words, c.CommandPath())
	}
}
