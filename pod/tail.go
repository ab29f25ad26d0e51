package pod

import (
	"bufio"
	"bytes"
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
// first: at most so many, such as [TailLines] or [LastLogLines], and [TailBytes]
// in all. Lines of more than 1 KiB are cut and end with "…", carriage returns at
// their ends are left out, and bytes that are not UTF-8 are replaced. It keeps
// little more in memory than that, however long the output is. It returns no
// lines with an error.
func ReadTail(output io.Reader, most int) ([]string, error) {
	r := bufio.NewReader(output)
	var lines []string
	cut := false // what is read next belongs to the last line
	for {
		line, more, err := r.ReadLine()
		switch {
		case errors.Is(err, io.EOF):
			return lastBytes(lines), nil
		case err != nil:
			return nil, err
		case !cut:
			lines = append(lines[max(0, len(lines)+1-most):], cutLine(line))
		}
		cut = more
	}
}

// cutLine returns what a tail keeps of a line.
func cutLine(line []byte) string {
	text := strings.ToValidUTF8(string(bytes.TrimRight(line, "\r")), "\uFFFD")
	if len(text) > tailLine {
		return strings.ToValidUTF8(text[:tailLine], "") + "…" // not within a character
	}
	return text
}

// lastBytes drops the first lines until the rest is within [TailBytes].
func lastBytes(lines []string) []string {
	size, first := 0, len(lines)
	for first > 0 && size+len(lines[first-1])+1 <= TailBytes {
		first--
		size += len(lines[first]) + 1
	}
	return lines[first:]
}
