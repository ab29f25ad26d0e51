package pod

import (
	"bufio"
	"errors"
	"io"
	"strings"
)

// Bounds of the output that [Runtime.Stop] returns.
const (
	TailLines = 100      // lines
	TailBytes = 16 << 10 // bytes in all, line ends included
)

// tailLine is the most bytes that a tail keeps of one line.
const tailLine = 1 << 10

// ReadTail reads a node's output to its end and returns its last lines, oldest
// first: at most [TailLines], and [TailBytes] in all. Lines of more than 1 KiB
// are cut and end with "…", carriage returns at their ends and bytes that are
// not UTF-8 are replaced. It keeps no more in memory than that, however long the
// output is. It returns no lines with an error.
func ReadTail(output io.Reader) ([]string, error) {
	r := bufio.NewReaderSize(output, 4<<10)
	var lines []string
	for {
		line, err := readLine(r)
		if line != nil {
			if len(lines) == TailLines {
				lines = append(lines[:0], lines[1:]...)
			}
			lines = append(lines, *line)
		}
		if errors.Is(err, io.EOF) {
			return fit(lines), nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// readLine reads a whole line and returns what a tail keeps of it; nil where
// there is none.
func readLine(r *bufio.Reader) (*string, error) {
	var kept []byte
	any := false
	for {
		part, err := r.ReadSlice('\n')
		any = any || len(part) > 0
		if room := tailLine + 2 - len(kept); room > 0 { // the line, and its end
			kept = append(kept, part[:min(room, len(part))]...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case !any:
			return nil, err
		}
		text := strings.TrimRight(string(kept), "\r\n")
		text = strings.ToValidUTF8(text, "\uFFFD")
		if len(text) > tailLine {
			text = strings.ToValidUTF8(text[:tailLine], "") + "…" // not within a character
		}
		return &text, err
	}
}

// fit drops the first lines until the rest is within [TailBytes].
func fit(lines []string) []string {
	size, first := 0, len(lines)
	for first > 0 && size+len(lines[first-1])+1 <= TailBytes {
		first--
		size += len(lines[first]) + 1
	}
	return lines[first:]
}
