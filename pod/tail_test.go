package pod

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReadTail(t *testing.T) {
	long := strings.Repeat("x", tailLine)
	for name, c := range map[string]struct {
		output string
		want   []string
	}{
		"nothing":           {"", nil},
		"an empty line":     {"\n", []string{""}},
		"lines":             {"a\nb\n", []string{"a", "b"}},
		"no end of line":    {"a\nb", []string{"a", "b"}},
		"carriage returns":  {"a\r\nb\r\n", []string{"a", "b"}},
		"empty lines":       {"a\n\nb\n", []string{"a", "", "b"}},
		"the longest line":  {long + "\n", []string{long}},
		"a line too long":   {long + "yz\nb\n", []string{long + "…", "b"}},
		"a very long line":  {strings.Repeat("z", 1<<20) + "\nb\n", []string{strings.Repeat("z", tailLine) + "…", "b"}},
		"a cut character":   {long[1:] + "äb\n", []string{long[1:] + "…"}},
		"bytes of no UTF-8": {"a\xffb\n", []string{"a\uFFFDb"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(c.output), iotest.OneByteReader(strings.NewReader(c.output))} {
				got, err := ReadTail(r, TailLines)
				require.NoError(t, err)
				assert.Equal(t, c.want, got)
			}
		})
	}
}

func TestReadTailIsBounded(t *testing.T) {
	for _, width := range []int{1, 50, 200, 5000} {
		var output strings.Builder
		for i := range 3 * TailLines {
			fmt.Fprintf(&output, "%d %s\n", i, strings.Repeat("ä", width))
		}
		got, err := ReadTail(strings.NewReader(output.String()), TailLines)
		require.NoError(t, err)
		require.NotEmpty(t, got)
		assert.LessOrEqual(t, len(got), TailLines)
		size := 0
		for i, line := range got {
			size += len(line) + 1
			assert.True(t, utf8.ValidString(line))
			assert.True(t, strings.HasPrefix(line, fmt.Sprintf("%d ", 3*TailLines-len(got)+i)), "%.20q", line)
		}
		assert.LessOrEqual(t, size, TailBytes)
		if width < 50 {
			assert.Len(t, got, TailLines)
		} else {
			assert.Greater(t, size, TailBytes/2)
		}
	}
}

func TestReadTailReturnsTheLastLines(t *testing.T) {
	got, err := ReadTail(strings.NewReader("a\nb\nc\n"+strings.Repeat("d", 10_000)+"\n"), 3)
	require.NoError(t, err)
	assert.Equal(t, []string{"b", "c", strings.Repeat("d", tailLine) + "…"}, got)
}

func TestReadTailOfOutputThatBreaksOff(t *testing.T) {
	broken := errors.New("input/output error")
	got, err := ReadTail(io.MultiReader(strings.NewReader("a\nb\n"), iotest.ErrReader(broken)), TailLines)
	require.ErrorIs(t, err, broken)
	assert.Nil(t, got)
}
