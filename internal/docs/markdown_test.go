package docs

import (
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"

	"github.com/elastipod/elastipod/internal/markdown"
)

// replaceBlock returns the document with the text of one of its blocks replaced.
func replaceBlock(text string, b markdown.Block, by string) string {
	lines := strings.Split(text, "\n")
	n := strings.Count(b.Text, "\n")
	head, tail := lines[:b.Line-1], lines[b.Line-1+n:]
	body := strings.Split(strings.TrimSuffix(by, "\n"), "\n")
	return strings.Join(head, "\n") + "\n" + strings.Join(body, "\n") + "\n" + strings.Join(tail, "\n")
}

// link is a link, or the source of a picture.
type link struct {
	target string
	line   int
}

var linkRE = regexp.MustCompile(`\]\(([^)\s]+)\)|<(https?://[^>\s]+)>|(?:src|srcset|href)="([^"]+)"`)

// links returns the links of a document, those in fenced blocks and in code left
// out.
func links(text string) []link {
	var out []link
	for i, line := range outside(text) {
		for _, m := range linkRE.FindAllStringSubmatch(codeRE.ReplaceAllString(line, ""), -1) {
			out = append(out, link{target: m[1] + m[2] + m[3], line: i + 1})
		}
	}
	return out
}

var codeRE = regexp.MustCompile("`[^`]*`")

// anchors returns the names under which a document's headings are linked, as
// GitHub and most others make them.
func anchors(text string) []string {
	var out []string
	seen := map[string]int{}
	for _, line := range outside(text) {
		title := strings.TrimLeft(line, "#")
		if title == line || !strings.HasPrefix(title, " ") {
			continue
		}
		var b strings.Builder
		for _, r := range strings.ToLower(strings.TrimSpace(title)) {
			switch {
			case r == ' ':
				b.WriteByte('-')
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				b.WriteRune(r)
			}
		}
		name := b.String()
		if n := seen[name]; n > 0 {
			out = append(out, name+"-"+string(rune('0'+n)))
		} else {
			out = append(out, name)
		}
		seen[name]++
	}
	return out
}

// outside returns the lines of a document, those of fenced blocks emptied.
func outside(text string) []string {
	lines := strings.Split(text, "\n")
	fence := ""
	for i, line := range lines {
		switch {
		case fence != "":
			if strings.TrimSpace(line) == fence {
				fence = ""
			}
			lines[i] = ""
		case strings.HasPrefix(line, "```"):
			fence = line[:len(line)-len(strings.TrimLeft(line, "`"))]
			lines[i] = ""
		}
	}
	return lines
}

func TestLinksAndAnchorsOfADocument(t *testing.T) {
	document := "# A title, it's `one`\n" +
		"See [it](a.md#b), <https://example.org/x> and `[not](this)`.\n" +
		"<img src=\"p.svg\">\n" +
		"```console more\n" +
		"$ [x](y)\n" +
		"# no heading\n" +
		"```\n" +
		"````go\n" +
		"```\n" +
		"````\n" +
		"## A title, it's one\n"
	assert.Equal(t, []link{{"a.md#b", 2}, {"https://example.org/x", 2}, {"p.svg", 3}}, links(document))
	assert.Equal(t, []string{"a-title-its-one", "a-title-its-one-1"}, anchors(document))

	block := markdown.Blocks(document)[0]
	replaced := replaceBlock(document, block, "one\ntwo\nthree\n")
	assert.Equal(t, "one\ntwo\nthree\n", markdown.Blocks(replaced)[0].Text)
	assert.Equal(t, document, replaceBlock(replaced, markdown.Blocks(replaced)[0], block.Text))
}
