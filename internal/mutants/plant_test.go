package main

import (
	"go/format"
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
