// Package markdown finds the fenced blocks of a document, for the tests that read
// or run them. It knows as much of Markdown as this project's documents use.
package markdown

import (
	"regexp"
	"strings"
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
