package main

import (
	"io"
	"os"

	"golang.org/x/term"
)

// screen is where a command writes: it knows whether a person is looking.
type screen struct {
	io.Writer
	fd       int
	terminal bool
	colours  bool
	columns  int // 0: ask the terminal
}

func newScreen(w io.Writer) screen {
	s := screen{Writer: w}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		s.fd, s.terminal = int(f.Fd()), os.Getenv("TERM") != "dumb"
		s.colours = s.terminal && os.Getenv("NO_COLOR") == ""
	}
	return s
}

// width is the number of columns, 0 where there is no bound.
func (s screen) width() int {
	if !s.terminal || s.columns > 0 {
		return s.columns
	}
	w, _, err := term.GetSize(s.fd)
	if err != nil {
		return 80
	}
	return w
}

// colour is an ANSI SGR code.
type colour string

const (
	plain  colour = ""
	bold   colour = "1"
	dim    colour = "2"
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
	cyan   colour = "36"
)

func (s screen) paint(c colour, text string) string {
	if !s.colours || c == plain || text == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}
