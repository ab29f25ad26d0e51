package main

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// cell is one value of a table.
type cell struct {
	text   string
	colour colour
}

// table prints rows under headers, in columns. Headers that begin with ">" are
// aligned to the right. The last column takes what is left of the terminal and
// is cut there; where even that is too little, the widest others are.
type table struct {
	headers []string
	rows    [][]cell
}

func newTable(headers ...string) *table { return &table{headers: headers} }

// row appends a row of strings, cells, or anything that fmt prints.
func (t *table) row(values ...any) {
	cells := make([]cell, len(values))
	for i, v := range values {
		switch v := v.(type) {
		case cell:
			cells[i] = v
		case string:
			cells[i] = cell{text: v}
		default:
			cells[i] = cell{text: fmt.Sprint(v)}
		}
		cells[i].text = printable(cells[i].text)
		if cells[i].text == "" {
			cells[i] = cell{text: "–", colour: dim}
		}
	}
	t.rows = append(t.rows, cells)
}

const (
	gap      = 2 // blanks between columns
	minWidth = 6 // a column is not cut below that
)

func (t *table) print(s screen) error {
	widths := t.widths(s.width())
	var b strings.Builder
	line := make([]cell, len(t.headers))
	for i, h := range t.headers {
		line[i] = cell{strings.TrimPrefix(h, ">"), bold}
	}
	t.line(&b, s, widths, line)
	for _, row := range t.rows {
		t.line(&b, s, widths, row)
	}
	_, err := s.Write([]byte(b.String()))
	return err
}

func (t *table) line(b *strings.Builder, s screen, widths []int, row []cell) {
	for i, c := range row {
		text := cut(c.text, widths[i])
		pad := strings.Repeat(" ", max(widths[i]-utf8.RuneCountInString(text), 0))
		switch painted := s.paint(c.colour, text); {
		case strings.HasPrefix(t.headers[i], ">"):
			b.WriteString(pad + painted)
		case i == len(row)-1:
			b.WriteString(painted)
		default:
			b.WriteString(painted + pad)
		}
		if i < len(row)-1 {
			b.WriteString(strings.Repeat(" ", gap))
		}
	}
	b.WriteByte('\n')
}

// widths returns how wide each column is, in all at most total (0: no bound).
func (t *table) widths(total int) []int {
	widths := make([]int, len(t.headers))
	for i, h := range t.headers {
		widths[i] = utf8.RuneCountInString(strings.TrimPrefix(h, ">"))
		for _, row := range t.rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i].text))
		}
	}
	if total == 0 {
		return widths
	}
	over := gap*(len(widths)-1) - total
	for _, w := range widths {
		over += w
	}
	last := len(widths) - 1
	if over > 0 {
		less := min(over, max(widths[last]-3*minWidth, 0))
		widths[last] -= less
		over -= less
	}
	for over > 0 {
		widest := 0
		for i, w := range widths {
			if w > widths[widest] {
				widest = i
			}
		}
		if widths[widest] <= minWidth {
			break
		}
		widths[widest]--
		over--
	}
	return widths
}

func cut(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	r := []rune(text)
	return string(r[:max(width-1, 0)]) + "…"
}

// printable keeps what others wrote from steering the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r):
			return -1
		}
		return r
	}, text)
}
