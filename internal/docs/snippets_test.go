package docs

import (
	"encoding/json"
	"flag"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/serve"
	"github.com/elastipod/elastipod/internal/markdown"
)

var update = flag.Bool("update", false, "write Go snippets anew from the regions that they name")

// languages of blocks, and whether something checks them: "sh" is what no test
// runs, and its note says why.
var languages = []string{"go", "yaml", "console", "sh", "json", "", "text", "promql"}

// TestGoSnippetsAreRegions: a Go block of a document names a region of a file
// beside it, which is compiled and tested, and is the same.
//
//	<!-- region: example_guide_test.go#policy -->
func TestGoSnippetsAreRegions(t *testing.T) {
	n := 0
	each(t, func(document string, b markdown.Block) {
		assert.Contains(t, languages, b.Language, "%s:%d: a language that nobody checks", document, b.Line)
		if b.Language != "go" {
			return
		}
		n++
		file, name, ok := strings.Cut(b.Notes["region"], "#")
		if !assert.True(t, ok, "%s:%d: a Go block without <!-- region: FILE#NAME --> above it", document, b.Line) {
			return
		}
		source := read(t, path.Join(path.Dir(document), file))
		_, err := parser.ParseFile(token.NewFileSet(), file, source, 0)
		require.NoError(t, err)
		want, err := region(source, name)
		if !assert.NoError(t, err, "%s:%d", document, b.Line) {
			return
		}
		if *update && want != b.Text {
			rewrite(t, document, b.Notes["region"], want)
			return
		}
		assert.Equal(t, want, b.Text, "%s:%d differs from %s; write it anew: go test ./internal/docs -update", document, b.Line, b.Notes["region"])
	})
	require.Greater(t, n, 5)
}

// rewrite replaces the block that names a region.
func rewrite(t *testing.T, document, name, by string) {
	t.Helper()
	text := read(t, document)
	for _, b := range markdown.Blocks(text) {
		if b.Language == "go" && b.Notes["region"] == name {
			text = replaceBlock(text, b, by)
			break
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(root, document), []byte(text), 0o644))
}

// region returns what is between "// region: NAME" and "// end", without the
// indentation that all of it has.
func region(source, name string) (string, error) {
	begin := regexp.MustCompile(`(?m)^\s*// region: ` + regexp.QuoteMeta(name) + `\n`).FindStringIndex(source)
	if begin == nil {
		return "", fmt.Errorf("there is no region %q", name)
	}
	text := source[begin[1]:]
	end := regexp.MustCompile(`(?m)^\s*// end$`).FindStringIndex(text)
	if end == nil {
		return "", fmt.Errorf("region %q has no end", name)
	}
	lines := strings.Split(strings.Trim(text[:end[0]], "\n"), "\n")
	indent := -1
	for _, line := range lines {
		if tabs := len(line) - len(strings.TrimLeft(line, "\t")); line != "" && (indent < 0 || tabs < indent) {
			indent = tabs
		}
	}
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(line[min(len(line), max(indent, 0)):] + "\n")
	}
	return b.String(), nil
}

func TestRegion(t *testing.T) {
	const source = "func x() {\n\t// region: one\n\tif y {\n\n\t\tz()\n\t}\n\t// end\n}\n// region: two\n"
	got, err := region(source, "one")
	require.NoError(t, err)
	assert.Equal(t, "if y {\n\n\tz()\n}\n", got)
	_, err = region(source, "two")
	assert.ErrorContains(t, err, "has no end")
	_, err = region(source, "three")
	assert.ErrorContains(t, err, "there is no region")
}

// TestYAMLIsRead: by the server's strict parser, or, where the note above says so
// ("<!-- file: … -->"), by what the tour does with the file; of other programs'
// files ("<!-- of: … -->") it is checked that they are YAML.
func TestYAMLIsRead(t *testing.T) {
	n := 0
	each(t, func(document string, b markdown.Block) {
		switch {
		case b.Language == "json":
			assert.True(t, json.Valid([]byte(b.Text)), "%s:%d", document, b.Line)
			return
		case b.Language != "yaml":
			return
		}
		n++
		var any any
		if !assert.NoError(t, yaml.Unmarshal([]byte(b.Text), &any), "%s:%d", document, b.Line) || b.Notes["of"] != "" || b.Notes["file"] != "" {
			return
		}
		code, said := check(t, b.Text)
		assert.Zero(t, code, "%s:%d: %s", document, b.Line, said)
	})
	require.Greater(t, n, 3)
}

// The check is the strict one.
func TestYAMLCheckRefuses(t *testing.T) {
	code, said := check(t, "pods:\n- name: web\n  workload: {comand: [x]}\n")
	assert.Equal(t, serve.ExitUsage, code)
	assert.Contains(t, said, "command")
}

// check is "server --check" of a file.
func check(t *testing.T, text string) (code int, said string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "server.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	var out strings.Builder
	code = serve.Program{Stdout: &out, Stderr: &out, Environ: []string{"HOME=" + dir}}.Run(t.Context(), []string{"--check", "--config", file})
	var faults []string
	for line := range strings.Lines(out.String()) {
		// Secrets and certificates are the reader's own.
		if code != serve.ExitOK && !strings.Contains(line, "no such file or directory") && !strings.Contains(line, "is not in the environment") {
			faults = append(faults, line)
		}
	}
	if code == serve.ExitUsage && len(faults) == 0 {
		code = serve.ExitOK
	}
	return code, strings.Join(faults, "")
}

// TestBlocksThatNobodyRunsSaySo: a block of "sh" has a note that says why.
func TestBlocksThatNobodyRunsSaySo(t *testing.T) {
	each(t, func(document string, b markdown.Block) {
		if b.Language == "sh" && ours(document) {
			assert.NotEmpty(t, b.Notes["untested"], "%s:%d: make it a console block, or say why not: <!-- untested: … -->", document, b.Line)
		}
		if b.Language == "console" && ours(document) {
			assert.True(t, strings.HasPrefix(b.Text, "$ "), "%s:%d: a console block begins with a command", document, b.Line)
		}
	})
}

// ours says whether a document's console blocks are run by package e2e.
func ours(document string) bool {
	return slices.Contains([]string{
		"README.md", "elastic/README.md", "pod/README.md", "balancer/README.md", "cms/README.md",
		"examples/embed/README.md", "examples/server/PRODUCTION.md", "examples/server/MIGRATE.md", "examples/server/COMPARISON.md",
	}, document)
}

func each(t *testing.T, f func(document string, b markdown.Block)) {
	t.Helper()
	for _, document := range tracked(t, "*.md") {
		for _, b := range markdown.Blocks(read(t, document)) {
			f(document, b)
		}
	}
}
