// Package markdown finds in a document what tests check: fenced blocks, links and
// headings. It knows as much of Markdown as this project's documents use.
package markdown

import (
	"regexp"
	"strings"
	"unicode"
)

// Block is a fenced block.
type Block struct {
	// Language is the first word behind the fence.
	Language string
	// Notes are the "<!-- key: value -->" comments on the lines right above it.
	Notes map[string]string
	// Text is what is between the fences, with its last newline.
	Text string
	// Line is that of the first line of Text, from 1.
	Line int
}

var noteRE = regexp.MustCompile(`^<!-- ([a-z]+): (.*) -->$`)

// Blocks returns the fenced blocks of a document.
func Blocks(text string) []Block {
	var out []Block
	var notes map[string]string
	var open *Block
	fence := ""
	for i, line := range strings.Split(text, "\n") {
		switch {
		case open != nil && strings.TrimSpace(line) == fence:
			out = append(out, *open)
			open, notes = nil, nil
		case open != nil:
			open.Text += line + "\n"
		case strings.HasPrefix(line, "```"):
			rest := strings.TrimLeft(line, "`")
			fence = line[:len(line)-len(rest)]
			language, _, _ := strings.Cut(rest, " ")
			open = &Block{Language: language, Notes: notes, Line: i + 2}
		default:
			m := noteRE.FindStringSubmatch(line)
			if m == nil {
				notes = nil
				continue
			}
			if notes == nil {
				notes = map[string]string{}
			}
			notes[m[1]] = m[2]
		}
	}
	return out
}

// Replace returns the document with the text of one of its blocks replaced.
func Replace(text string, b Block, by string) string {
	lines := strings.Split(text, "\n")
	n := strings.Count(b.Text, "\n")
	head, tail := lines[:b.Line-1], lines[b.Line-1+n:]
	body := strings.Split(strings.TrimSuffix(by, "\n"), "\n")
	return strings.Join(head, "\n") + "\n" + strings.Join(body, "\n") + "\n" + strings.Join(tail, "\n")
}

// Link is a link, or the source of a picture.
type Link struct {
	Target string
	Line   int
}

var linkRE = regexp.MustCompile(`\]\(([^)\s]+)\)|<(https?://[^>\s]+)>|(?:src|srcset|href)="([^"]+)"`)

// Links returns the links of a document, those in fenced blocks and in code left
// out.
func Links(text string) []Link {
	var out []Link
	for i, line := range outside(text) {
		for _, m := range linkRE.FindAllStringSubmatch(codeRE.ReplaceAllString(line, ""), -1) {
			out = append(out, Link{Target: m[1] + m[2] + m[3], Line: i + 1})
		}
	}
	return out
}

var codeRE = regexp.MustCompile("`[^`]*`")

// Anchors returns the names under which a document's headings are linked, as
// GitHub and most others make them.
func Anchors(text string) []string {
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
