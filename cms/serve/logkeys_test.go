package serve

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// logCall is a line of the log as it stands in the source.
type logCall struct {
	at, message string
	keys        []string
}

// logCalls finds the lines that the server and what it is made of may log.
func logCalls(t *testing.T) []logCall {
	t.Helper()
	var out []logCall
	for _, root := range []string{"cms", "pod", "balancer", "metrics", "elastic", "internal", "examples/server"} {
		err := filepath.WalkDir(filepath.Join("../..", root), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			set := token.NewFileSet()
			f, err := parser.ParseFile(set, path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok {
					if c, ok := asLogCall(call); ok {
						c.at = set.Position(call.Pos()).String()
						out = append(out, c)
					}
				}
				return true
			})
			return nil
		})
		require.NoError(t, err)
	}
	require.Greater(t, len(out), 40)
	return out
}

func asLogCall(call *ast.CallExpr) (logCall, bool) {
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !isLogger(f.X) {
		return logCall{}, false
	}
	args := call.Args
	var c logCall
	switch name, withContext := strings.CutSuffix(f.Sel.Name, "Context"); name {
	case "Debug", "Info", "Warn", "Error":
		if withContext {
			args = args[1:]
		}
		c.message = text(args[0])
		args = args[1:]
	case "With":
	default:
		return logCall{}, false
	}
	for i := 0; i < len(args); i += 2 {
		if key := text(args[i]); key != "" {
			c.keys = append(c.keys, key)
		}
	}
	return c, true
}

// isLogger goes by the name: log, s.log, cfg.Logger.
func isLogger(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.Ident:
		return x.Name == "log" || x.Name == "logger"
	case *ast.SelectorExpr:
		return x.Sel.Name == "log" || x.Sel.Name == "Logger"
	}
	return false
}

func text(x ast.Expr) string {
	if lit, ok := x.(*ast.BasicLit); ok && lit.Kind == token.STRING {
		s, _ := strconv.Unquote(lit.Value) // it was parsed
		return s
	}
	return ""
}

// TestLogLines: messages are phrases in lower case that stay the same, and what
// changes stands in keys that the README explains.
func TestLogLines(t *testing.T) {
	readme, err := os.ReadFile("../../examples/server/README.md")
	require.NoError(t, err)
	_, section, ok := strings.Cut(string(readme), "\n## The log\n")
	require.True(t, ok, "the README has no section on the log")
	section, _, _ = strings.Cut(section, "\n## ")
	known := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*?) \\|").FindAllStringSubmatch(section, -1) {
		for _, key := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(row[1], -1) {
			known[key[1]] = true
		}
	}
	used := map[string]bool{}
	for _, c := range logCalls(t) {
		if first := []rune(c.message + " ")[0]; unicode.IsUpper(first) && !strings.HasPrefix(c.message, "HAProxy") {
			t.Errorf("%s: %q begins with a capital", c.at, c.message)
		}
		assert.False(t, strings.HasSuffix(c.message, "."), "%s: %q ends with a full stop", c.at, c.message)
		for _, key := range c.keys {
			used[key] = true
			assert.True(t, known[key], "%s: %q has the key %q, which the README does not explain", c.at, c.message, key)
			assert.NotContains(t, []string{"token", "secret", "password", "authorization", "env"}, key, "%s", c.at)
		}
	}
	for key := range known {
		assert.True(t, used[key] || slices.Contains([]string{"time", "level", "msg", "audit"}, key), "the README explains %q, which nothing logs", key)
	}
}
