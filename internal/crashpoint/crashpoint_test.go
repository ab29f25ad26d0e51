package crashpoint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every point is in the code once, every point of the code is listed, and each
// clean-up can be left out somewhere.
func TestPointsAreThoseOfTheCode(t *testing.T) {
	there, cleanUps := map[string][]string{}, map[string]bool{}
	fset := token.NewFileSet()
	require.NoError(t, filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || d.Name() == "crashpoint" || strings.HasPrefix(d.Name(), ".") && d.Name() != ".."):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			f, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if pkg, ok := f.X.(*ast.Ident); !ok || pkg.Name != "crashpoint" {
				return true
			}
			at := fset.Position(call.Pos()).String()
			switch f.Sel.Name {
			case "Here":
				text, ok := call.Args[0].(*ast.BasicLit)
				if !assert.True(t, ok, "%s: name the point in a literal", at) {
					return true
				}
				name, err := strconv.Unquote(text.Value)
				assert.NoError(t, err)
				there[name] = append(there[name], at)
			case "Without":
				if c, ok := call.Args[0].(*ast.SelectorExpr); assert.True(t, ok, "%s: name the clean-up by its constant", at) {
					cleanUps[c.Sel.Name] = true
				}
			}
			return true
		})
		return nil
	}))
	for _, p := range Points() {
		assert.Len(t, there[p], 1, "%s should be in the code once", p)
		delete(there, p)
	}
	assert.Empty(t, there, "points of the code that are not listed")
	assert.Len(t, cleanUps, len(CleanUps()))
}

func TestPointsAreNamedOnce(t *testing.T) {
	names := slices.Clone(Points())
	slices.Sort(names)
	assert.Len(t, slices.Compact(slices.Clone(names)), len(names))
	for _, name := range names {
		assert.Regexp(t, `^[a-z]+(-[a-z]+)*/[a-z]+$`, name)
	}
}

// What is built without the tag has no hook: neither its code nor what would
// read a variable.
func TestHookIsOnlyBuiltWithItsTag(t *testing.T) {
	files := func(flags ...string) []string {
		out, err := exec.CommandContext(t.Context(), "go", append(append([]string{"list"}, flags...), "-f", `{{join .GoFiles " "}}`, ".", "../../cms/serve")...).Output()
		require.NoError(t, err)
		return strings.Fields(string(out))
	}
	release, hooked := files(), files("-tags", "crashpoint")
	for off, on := range map[string]string{"off.go": "on.go", "killports_off.go": "killports_on.go"} {
		assert.Contains(t, release, off)
		assert.NotContains(t, release, on)
		assert.Contains(t, hooked, on)
		assert.NotContains(t, hooked, off)
	}
}
