package main

import (
	"go/format"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPlant(t *testing.T) {
	src := "package p\n\nfunc f(a, b int) int {\n\tif a < b && a > 0 {\n\t\tg()\n\t\treturn a + 1\n\t}\n\treturn max(a, b)\n}\n"
	var found []string
	out, err := plant("p.go", []byte(src), func(m mutant) int {
		found = append(found, m.What)
		return len(found)
	})
	require.NoError(t, err)
	_, err = format.Source(out)
	require.NoError(t, err, "%s", out)
	assert.ElementsMatch(t, []string{
		"a < b && a > 0 → a < b || a > 0", "a < b → a <= b", "a < b → a >= b", "a > 0 → a >= 0", "a > 0 → a <= 0",
		"g() → nothing", "a + 1 → a - 1", "max(a, b) → min",
	}, found)
	_, err = plant("p.go", []byte("package"), nil)
	assert.Error(t, err)
}

func TestOnlyWhatLivedIsTriedAgain(t *testing.T) {
	said := filepath.Join(t.TempDir(), "said")
	require.NoError(t, os.WriteFile(said, []byte(`3 bugs in 1 files
p.go:4: a < b → a <= b
p.go:5: g() → nothing   (no test comes here)
p.go:6: a > 0 → a >= 0   (tests took too long: counted as noticed)
3 bugs: 1 noticed, 1 of these by taking too long; 2 not, 1 of these where no test comes
`), 0o600))
	s := &suite{options: options{again: said}, out: io.Discard, mutants: []mutant{
		{ID: 1, File: "p.go", Line: 40, What: "a < b → a <= b"},
		{ID: 2, File: "q.go", Line: 4, What: "a < b → a <= b"},
		{ID: 3, File: "p.go", Line: 5, What: "g() → nothing"},
		{ID: 4, File: "p.go", Line: 6, What: "a > 0 → a >= 0"},
	}}
	require.NoError(t, s.onlyLived())
	var left []int
	for _, m := range s.mutants {
		left = append(left, m.ID)
	}
	assert.Equal(t, []int{1, 3}, left)
}
