package process

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/pod"
)

func TestOutputRotates(t *testing.T) {
	dir := t.TempDir()
	o, err := openOutput(dir, 1000)
	require.NoError(t, err)
	defer func() { o.f.Close() }()
	for i := range 1000 {
		_, err := fmt.Fprintf(o, "line %d\n", i)
		require.NoError(t, err)
		sum := 0
		for _, f := range []string{outFile, oldOutFile} {
			if info, err := os.Stat(filepath.Join(dir, f)); err == nil {
				assert.LessOrEqual(t, info.Size(), int64(1000))
				sum += int(info.Size())
			}
		}
		if i > 200 {
			assert.GreaterOrEqual(t, sum, 990, "the last 1000 bytes are always there")
		}
		lines := tailLog(dir, pod.LastLogLines)
		require.Len(t, lines, min(i+1, pod.LastLogLines))
		require.Equal(t, fmt.Sprintf("line %d", i), lines[len(lines)-1])
		require.Equal(t, fmt.Sprintf("line %d", max(0, i-9)), lines[0])
	}
}

func TestTailStart(t *testing.T) {
	for _, c := range []struct {
		in   string
		n    int
		want string
	}{
		{"", 1, ""}, {"a\n", 1, "a\n"}, {"a\nb\n", 1, "b\n"}, {"a\nb", 1, "b"}, {"a\nb\n", 2, "a\nb\n"}, {"a\nb\n", 9, "a\nb\n"}, {"a\n\n", 1, "\n"},
	} {
		assert.Equal(t, c.want, c.in[tailStart([]byte(c.in), c.n):], "%q, %d", c.in, c.n)
	}
}

// TestLogBounded has a node that prints much more than is kept, while somebody
// follows.
func TestLogBounded(t *testing.T) {
	r := open(t, t.TempDir())
	start(t, r, "n1", shell(`i=0; read -r x </dev/null; while [ ! -e `+filepath.Join(r.cfg.Dir, "go")+` ]; do sleep 0.01; done
		seq -f 'line %.0f of a node that has much to say about itself' 100000; sleep 0.2; echo end`))
	l, err := r.Logs(t.Context(), id("n1"), pod.LogOptions{Follow: true})
	require.NoError(t, err)
	defer l.Close()
	require.NoError(t, os.WriteFile(filepath.Join(r.cfg.Dir, "go"), nil, 0o600))
	last := ""
	sc := bufio.NewScanner(l)
	for sc.Scan() {
		last = sc.Text()
	}
	require.NoError(t, sc.Err())
	assert.Equal(t, "end", last, "a follower sees the end, across rotations")
	require.NoError(t, os.Remove(filepath.Join(r.cfg.Dir, "go")))

	e := exited(t, r, "n1")
	assert.Equal(t, "end", e.LastLog[9])
	assert.Equal(t, "line 100000 of a node that has much to say about itself", e.LastLog[8])
	kept := logged(t, r, "n1")
	assert.LessOrEqual(t, len(kept), 2*outSize)
	assert.Greater(t, len(kept), outSize)
	lines := strings.Split(strings.TrimSpace(kept), "\n")
	var first int
	_, err = fmt.Sscanf(lines[1], "line %d", &first) // the first one may be cut
	require.NoError(t, err)
	for i, line := range lines[1 : len(lines)-1] {
		require.Equal(t, fmt.Sprintf("line %d of a node that has much to say about itself", first+i), line, "no line is missing or twice")
	}
	tail, err := r.Logs(t.Context(), id("n1"), pod.LogOptions{Tail: 2})
	require.NoError(t, err)
	defer tail.Close()
	b, err := io.ReadAll(tail)
	require.NoError(t, err)
	assert.Equal(t, "line 100000 of a node that has much to say about itself\nend\n", string(b))
}

// The output that a stop returns goes on from the file that was current before.
func TestTailReadsBothFiles(t *testing.T) {
	dir := t.TempDir()
	assert.Nil(t, tailLog(dir, pod.TailLines), "there is no output")
	o, err := openOutput(dir, 40)
	require.NoError(t, err)
	assert.Nil(t, tailLog(dir, pod.TailLines), "nothing was written")
	for i := range 10 {
		_, _ = fmt.Fprintf(o, "line %d\n", i)
	}
	got := tailLog(dir, pod.TailLines)
	assert.Greater(t, len(got), 5, "more than one file holds")
	assert.Equal(t, "line 9", got[len(got)-1])
}
