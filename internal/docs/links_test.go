package docs

import (
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestLinks: every link from one of our documents to another file of ours leads
// to it, and to a heading that is there; links elsewhere are https.
func TestLinks(t *testing.T) {
	documents := tracked(t, "*.md")
	require.Greater(t, len(documents), 8)
	n := 0
	for _, document := range documents {
		text := read(t, document)
		for _, link := range links(text) {
			n++
			assert.Empty(t, broken(t, document, text, link.target), "%s:%d: %s", document, link.line, link.target)
		}
	}
	require.Greater(t, n, 40)
}

// The check can fail.
func TestBrokenLinksAreFound(t *testing.T) {
	for target, want := range map[string]string{
		"README.md#two-commands":     "",
		"elastic/README.md":          "",
		"elastic":                    "",
		"#two-commands":              "",
		"https://example.org/":       "",
		"http://127.0.0.1:3000/":     "",
		"elastik":                    "no such file",
		"README.md#three-commands":   "no such heading",
		"http://example.org/":        "not https",
		"../outside.md":              "leads out of the repository",
		"/README.md":                 "write it relative to the document",
		"examples/server/main.go#L1": "no such heading",
	} {
		assert.Equal(t, want, broken(t, "README.md", read(t, "README.md"), target), target)
	}
}

// TestEachGuideIsReachable: from the README, in as many steps as it takes.
func TestEachGuideIsReachable(t *testing.T) {
	seen := map[string]bool{"README.md": true}
	for todo := []string{"README.md"}; len(todo) > 0; todo = todo[1:] {
		for _, link := range links(read(t, todo[0])) {
			u, err := url.Parse(link.target)
			require.NoError(t, err)
			if u.IsAbs() || u.Path == "" {
				continue
			}
			to := path.Join(path.Dir(todo[0]), u.Path)
			if info, err := os.Stat(filepath.Join(root, to)); err == nil && info.IsDir() {
				to = path.Join(to, "README.md")
			}
			if strings.HasSuffix(to, ".md") && !seen[to] {
				if _, err := os.Stat(filepath.Join(root, to)); err == nil {
					seen[to] = true
					todo = append(todo, to)
				}
			}
		}
	}
	for _, document := range tracked(t, "*.md") {
		assert.True(t, seen[document] || strings.Contains(document, "testdata/"), "no way leads from README.md to %s", document)
	}
}

// broken says what is wrong with a link, or nothing.
func broken(t *testing.T, document, text, target string) string {
	t.Helper()
	u, err := url.Parse(target)
	switch {
	case err != nil:
		return err.Error()
	case u.IsAbs() && u.Scheme != "https" && u.Hostname() != "127.0.0.1":
		return "not https"
	case u.IsAbs():
		return ""
	case strings.HasPrefix(u.Path, "/"):
		return "write it relative to the document"
	}
	if u.Path != "" {
		to := path.Join(path.Dir(document), u.Path)
		if strings.HasPrefix(to, "..") {
			return "leads out of the repository"
		}
		if _, err := os.Stat(filepath.Join(root, to)); err != nil {
			return "no such file"
		}
		if u.Fragment != "" {
			text = read(t, to)
		}
	}
	if u.Fragment != "" && !slices.Contains(anchors(text), u.Fragment) {
		return "no such heading"
	}
	return ""
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, name))
	require.NoError(t, err)
	return string(b)
}
