//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTour does what the README says, line by line, and looks at the pages that
// it names.
func TestTour(t *testing.T) {
	c := openConsole(t)
	c.follow("README.md")
	text, err := os.ReadFile(filepath.Join(c.dir, "README.md"))
	require.NoError(t, err)
	pages := regexp.MustCompile(`<http://(127\.0\.0\.1:\d+)(/[a-z0-9/.]*)>`).FindAllStringSubmatch(string(text), -1)
	require.NotEmpty(t, pages)
	for _, page := range pages {
		assert.Regexp(t, `^HTTP/1\.\d 200`, c.answers(page[1], page[2]), "http://%s%s", page[1], page[2])
	}
	c.interrupt()
}

// TestGuides does what each guide says, in a clone of its own.
func TestGuides(t *testing.T) {
	for _, document := range []string{"elastic/README.md", "examples/embed/README.md", "examples/server/PRODUCTION.md"} {
		t.Run(document, func(t *testing.T) {
			c := openConsole(t)
			c.follow(document)
			c.interrupt()
		})
	}
}

// What a document shows is compared as a person would.
func TestMatches(t *testing.T) {
	for _, x := range []struct {
		expected, out string
		want          bool
	}{
		{"", "", true},
		{"", "x\n", false},
		{"a  b\n", "a b\n", true},
		{"a b\n", "a c\n", false},
		{"...\n", "", true},
		{"...\nb\n", "a\na\nb\n", true},
		{"...\nb\n...\n", "a\na\nc\n", false},
		{"a...c\n", "abc\n", true},
		{"CPU 0.91 over upper 0.70: 1 → 2\n", "CPU 1.7 over upper 0.70: 1 → 2\n", true},
		{"CPU 0.91 over upper 0.70: 1 → 2\n", "CPU 1.7 over upper 0.70: 1 → 3\n", false},
		{"23:50:00 (9s ago) 2 → 3\n", "23:51:00 (1m9s ago) 2 → 3\n", true},
		{"half within 23 ms, 99 % within 203 ms\n", "half within 1 s, 98 % within 203 ms\n", true},
		{"2,150 requests, 0 failed\n", "1,150 requests, 0 failed\n", true},
		{"2,150 requests, 0 failed\n", "1,150 requests, 1 failed\n", false},
		{"2 of 3\n", "1 of 3\n", false},
	} {
		assert.Equal(t, x.want, matches(x.expected, x.out), "%q %q", x.expected, x.out)
	}
}
