package main

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// cell is one value of a table.
type cell struct {
	text   string
	colour colour
}

// column is a column of a table.
type column struct {
	name  string
	right bool // aligned to the right
	shy   bool // left out where it is empty in every row
	extra bool // left out, from the right, where the terminal is too narrow
}

func left(name string) column  { return column{name: name} }
func right(name string) column { return column{name: name, right: true} }

func (c column) whenSet() column  { c.shy = true; return c }
func (c column) whenWide() column { c.extra = true; return c }

// table prints rows in columns that fit the terminal. Where leaving out columns
// is not enough the last one is cut, and then the widest others are.
type table struct {
	columns []column
	rows    [][]cell
}

func newTable(columns ...column) *table { return &table{columns: columns} }

// nothingThere is what is printed for an empty value.
var nothingThere = cell{text: "–", colour: dim}

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
			cells[i] = nothingThere
		}
	}
	t.rows = append(t.rows, cells)
}

const (
	gap      = 2 // blanks between columns
	minWidth = 6 // a column is not cut below that
	enough   = 40
)

func (t *table) print(s screen) error {
	t.leaveOut(s.width())
	widths := t.widths(s.width())
	var b strings.Builder
	head := make([]cell, len(t.columns))
	for i, c := range t.columns {
		head[i] = cell{c.name, bold}
	}
	t.line(&b, s, widths, head)
	for _, row := range t.rows {
		t.line(&b, s, widths, row)
	}
	_, err := s.Write([]byte(b.String()))
	return err
}

// leaveOut removes columns that are empty, and those that do not fit.
func (t *table) leaveOut(total int) {
	for i := len(t.columns) - 1; i >= 0; i-- {
		empty := !slices.ContainsFunc(t.rows, func(row []cell) bool { return row[i] != nothingThere })
		if t.columns[i].shy && empty {
			t.remove(i)
		}
	}
	for i := len(t.columns) - 1; i >= 0 && total > 0 && t.wanted() > total; i-- {
		if t.columns[i].extra {
			t.remove(i)
		}
	}
}

// wanted is how wide the table would like to be: a long text at its end may be cut,
// and is not worth every other column.
func (t *table) wanted() int {
	widths := t.widths(0)
	last := len(widths) - 1
	widths[last] = min(widths[last], enough)
	return sum(widths)
}

func (t *table) remove(i int) {
	t.columns = slices.Delete(t.columns, i, i+1)
	for r := range t.rows {
		t.rows[r] = slices.Delete(t.rows[r], i, i+1)
	}
}

func (t *table) line(b *strings.Builder, s screen, widths []int, row []cell) {
	for i, c := range row {
		text := cut(c.text, widths[i])
		pad := strings.Repeat(" ", max(widths[i]-utf8.RuneCountInString(text), 0))
		switch painted := s.paint(c.colour, text); {
		case t.columns[i].right:
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

// sum is how wide a table of such columns is.
func sum(widths []int) int {
	total := gap * (len(widths) - 1)
	for _, w := range widths {
		total += w
	}
	return total
}

// widths returns how wide each column is, in all at most total (0: no bound).
func (t *table) widths(total int) []int {
	widths := make([]int, len(t.columns))
	for i, c := range t.columns {
		widths[i] = utf8.RuneCountInString(c.name)
		for _, row := range t.rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i].text))
		}
	}
	if total == 0 {
		return widths
	}
	over := sum(widths) - total
	last := len(widths) - 1
	if over > 0 {
		less := min(over, max(widths[last]-3*minWidth, 0))
		widths[last] -= less
		over -= less
	}
	for ; over > 0; over-- {
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
