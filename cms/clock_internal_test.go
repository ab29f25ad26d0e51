package cms

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The clock is the only file that reads a clock.
func TestTimeComesFromTheClock(t *testing.T) {
	files := token.NewFileSet()
	packages, err := parser.ParseDir(files, ".", func(i fs.FileInfo) bool {
		return !strings.HasSuffix(i.Name(), "_test.go") && i.Name() != "clock.go"
	}, parser.SkipObjectResolution)
	require.NoError(t, err)
	seen := 0
	for _, p := range packages {
		seen += len(p.Files)
		ast.Inspect(p, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			f, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := f.X.(*ast.Ident); ok && x.Name == "time" {
				assert.NotContains(t, []string{"Now", "Since", "Until"}, f.Sel.Name, "%s: use the clock", files.Position(call.Pos()))
			}
			return true
		})
	}
	assert.Greater(t, seen, 20)
}
