package cms

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// readers are the files that read a clock, and why they may.
var readers = map[string]string{
	"internal/clock/clock.go": "it is the clock",
	"internal/act/span.go":    "what collects spans compares them with those of other programs, by the wall clock",
}

// All of the manager has its time from one clock.
func TestTimeComesFromTheClock(t *testing.T) {
	files := token.NewFileSet()
	seen, reads := 0, map[string]bool{}
	for _, dir := range []string{".", "state", "reconcile", "internal/*"} {
		names, err := filepath.Glob(filepath.Join(dir, "*.go"))
		require.NoError(t, err)
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			p, err := parser.ParseFile(files, name, nil, parser.SkipObjectResolution)
			require.NoError(t, err)
			seen++
			ast.Inspect(p, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				f, ok := call.Fun.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				x, ok := f.X.(*ast.Ident)
				if !ok || x.Name != "time" || f.Sel.Name != "Now" && f.Sel.Name != "Since" && f.Sel.Name != "Until" {
					return true
				}
				reads[filepath.ToSlash(name)] = true
				assert.Contains(t, readers, filepath.ToSlash(name), "%s: use the clock", files.Position(call.Pos()))
				return true
			})
		}
	}
	assert.Greater(t, seen, 60)
	assert.Len(t, reads, len(readers), "the exceptions are needed")
}
