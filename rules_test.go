package elastipod_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// managerRooms are the packages of the manager, beside what stores, serves and
// tests it.
var managerRooms = []string{
	"cms", "cms/state", "cms/reconcile", "cms/internal/act", "cms/internal/claims", "cms/internal/clock", "cms/internal/events",
	"cms/internal/faults", "cms/internal/images", "cms/internal/ledger", "cms/internal/watch",
}

// A file that is longer wants a second concept's file.
const mostLines = 300

// A struct of which more fields change wants sub-structs; those count as one.
const mostFields = 15

// impure are the packages of the standard library that deciding must not import: it
// has no I/O, no randomness, and nobody to wait for or to share with.
var impure = []string{"context", "sync", "sync/atomic", "os", "net", "net/http", "log/slog", "math/rand", "math/rand/v2", "io", "log", "os/exec", "runtime", "unsafe"}

// clocks are the functions of package time that read a clock or wait for one.
var clocks = []string{"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Sleep"}

// Deciding is a pure function: of the same World it makes the same Plan.
func TestDecidingIsPure(t *testing.T) {
	for _, p := range list(t) {
		if p.ImportPath != module+"/cms/reconcile" {
			continue
		}
		for _, imported := range p.Imports {
			assert.NotContains(t, impure, imported)
		}
	}
	for _, c := range check(t, "cms/reconcile") {
		for _, f := range c.files {
			for _, why := range impurities(c, f) {
				t.Error(why)
			}
		}
	}
}

// impurities says what a file does that a pure function does not.
func impurities(c *checked, f *ast.File) (out []string) {
	refuse := func(n ast.Node, what string) { out = append(out, c.at(n)+": "+what) }
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			refuse(n, "starts a goroutine")
		case *ast.SendStmt:
			refuse(n, "sends to a channel")
		case *ast.SelectStmt:
			refuse(n, "selects")
		case *ast.ChanType:
			refuse(n, "has a channel")
		case *ast.UnaryExpr:
			if n.Op == token.ARROW {
				refuse(n, "receives from a channel")
			}
		case *ast.SelectorExpr:
			if pkg, name := c.imported(n); pkg == "time" && slices.Contains(clocks, name) {
				refuse(n, "reads a clock: time."+name)
			} else if strings.HasPrefix(pkg, "sync") {
				refuse(n, "locks: "+pkg+"."+name)
			}
		case *ast.GenDecl:
			if n.Tok == token.VAR && slices.ContainsFunc(f.Decls, func(d ast.Decl) bool { return d == n }) {
				for _, spec := range n.Specs {
					for _, name := range spec.(*ast.ValueSpec).Names {
						if c.written[c.info.Defs[name]] {
							refuse(n, "changes the package's "+name.Name)
						}
					}
				}
			}
		}
		return true
	})
	return out
}

// The test of purity finds what it looks for.
func TestImpuritiesAreFound(t *testing.T) {
	src := `package p
import ("sync"; "time")
var count int
var fixed = 7
var mu sync.Mutex
func f(c chan int) {
	go f(nil)
	c <- <-c
	select {}
	_ = time.Now()
	count++
}`
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "p.go", src, 0)
	require.NoError(t, err)
	files, err := exports()
	require.NoError(t, err)
	c := &checked{path: "p", fset: fset, files: []*ast.File{f}, info: newInfo()}
	conf := types.Config{Importer: compiled(fset, files)}
	_, err = conf.Check("p", fset, c.files, c.info)
	require.NoError(t, err)
	c.findWrites()
	found := strings.Join(impurities(c, f), "\n")
	for _, what := range []string{"goroutine", "sends", "receives", "selects", "has a channel", "time.Now", "sync.Mutex", "package's count"} {
		assert.Contains(t, found, what)
	}
	assert.NotContains(t, found, "fixed")
}

// The loop of a pod looks, decides, commits and has others act: of all ports it
// calls the store alone, through one function. What calls a runtime or the balancer
// is the watch's and the executor's.
func TestLoopsCallNoPortButTheStore(t *testing.T) {
	ports := map[string]bool{}
	for _, name := range []string{"pod.Runtime", "pod.Preparer", "pod.ImageRemover", "pod.Watcher", "balancer.Balancer", "cms/state.Store", "cms/state.Archiver"} {
		ports[name] = true
	}
	for _, c := range check(t, "cms") {
		saves := 0
		for _, f := range c.files {
			file := c.file(f)
			ast.Inspect(f, func(n ast.Node) bool {
				call, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				s := c.info.Selections[call]
				if s == nil || s.Kind() != types.MethodVal {
					return true
				}
				port := typeName(s.Recv())
				if !types.IsInterface(s.Recv()) || !ports[port] && !strings.HasPrefix(port, "pod.") && !strings.HasPrefix(port, "balancer.") {
					return true
				}
				switch file {
				case "podloop.go", "look.go", "publish.go", "tick.go", "mailbox.go", "status.go":
					t.Errorf("%s: the loop calls %s.%s", c.at(call), port, call.Sel.Name)
				}
				if port == "cms/state.Store" && call.Sel.Name == "Save" {
					saves++
				}
				return true
			})
		}
		assert.Equal(t, 1, saves, "all that is saved goes through one function")
	}
}

func TestFilesAreShort(t *testing.T) {
	for _, c := range check(t, managerRooms...) {
		for _, f := range c.files {
			assert.LessOrEqual(t, c.fset.Position(f.FileEnd).Line-1, mostLines, c.at(f))
		}
	}
}

// A field of a struct that several turns or goroutines see is written in one file.
// Values that a function makes for itself, or has been given a copy of, are no
// business of others; and configurations are filled in where they are read.
func TestFieldsAreWrittenInOneFile(t *testing.T) {
	type field struct{ of, name string }
	files := map[field][]string{}
	changing := map[string][]string{}
	for _, c := range check(t, managerRooms...) {
		for _, w := range c.findWrites() {
			f := field{w.of, w.name}
			if !strings.HasPrefix(w.of, "cms") || strings.HasSuffix(w.of, ".Config") || strings.HasSuffix(w.of, "Status") {
				continue
			}
			if !slices.Contains(changing[w.of], w.name) {
				changing[w.of] = append(changing[w.of], w.name)
			}
			if !slices.Contains(files[f], w.file) {
				files[f] = append(files[f], w.file)
			}
		}
	}
	require.Greater(t, len(changing), 20, "the search finds what it looks for")
	require.Contains(t, changing["cms/state.Node"], "State")
	for of, names := range changing {
		assert.LessOrEqual(t, len(names), mostFields, "fields of %s that change: %v", of, names)
	}
	for f, in := range files {
		assert.Len(t, in, 1, "%s.%s is written in %v", f.of, f.name, in)
	}
}

// checked is a package without its tests, parsed and type-checked.
type checked struct {
	path    string // below the module
	fset    *token.FileSet
	files   []*ast.File
	info    *types.Info
	written map[types.Object]bool // variables of the package that are assigned
}

func (c *checked) file(n ast.Node) string { return filepath.Base(c.fset.Position(n.Pos()).Filename) }

func (c *checked) at(n ast.Node) string {
	return fmt.Sprintf("%s/%s:%d", c.path, c.file(n), c.fset.Position(n.Pos()).Line)
}

// imported returns the package and the name of what is taken from a package.
func (c *checked) imported(s *ast.SelectorExpr) (pkg, name string) {
	if x, ok := s.X.(*ast.Ident); ok {
		if p, ok := c.info.Uses[x].(*types.PkgName); ok {
			return p.Imported().Path(), s.Sel.Name
		}
	}
	return "", ""
}

// write is an assignment to a field of a struct that others may see.
type write struct{ of, name, file string }

// findWrites returns the assignments to fields, and notes those to variables of the
// package. Assignments to elements of a field count as the field's.
func (c *checked) findWrites() (out []write) {
	c.written = map[types.Object]bool{}
	var note func(e ast.Expr)
	note = func(e ast.Expr) {
		switch e := ast.Unparen(e).(type) {
		case *ast.Ident:
			if v := c.info.Uses[e]; v != nil && v.Pkg() != nil && v.Parent() == v.Pkg().Scope() {
				c.written[v] = true
			}
		case *ast.IndexExpr:
			note(e.X)
		case *ast.SelectorExpr:
			s := c.info.Selections[e]
			if s != nil && s.Kind() == types.FieldVal && !c.own(e.X) {
				out = append(out, write{typeName(owner(s)), e.Sel.Name, c.path + "/" + c.file(e)})
			}
		}
	}
	for _, f := range c.files {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				if n.Tok != token.DEFINE {
					for _, l := range n.Lhs {
						note(l)
					}
				}
			case *ast.IncDecStmt:
				note(n.X)
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.Ident); ok && (f.Name == "delete" || f.Name == "clear") {
					note(n.Args[0])
				}
			}
			return true
		})
	}
	return out
}

// own says whether an expression is a variable of the function itself, or a part of
// one, and not what a pointer or a slice shares with others.
func (c *checked) own(e ast.Expr) bool {
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		v, ok := c.info.Uses[e].(*types.Var)
		return ok && v.Parent() != v.Pkg().Scope() && !isPointer(v.Type())
	case *ast.SelectorExpr:
		return !isPointer(c.info.TypeOf(e)) && c.own(e.X)
	}
	return false
}

// owner returns the struct that has a selected field, which may be embedded.
func owner(s *types.Selection) types.Type {
	of := s.Recv()
	index := s.Index()
	for _, i := range index[:len(index)-1] {
		of = deref(of).Underlying().(*types.Struct).Field(i).Type()
	}
	return of
}

func isPointer(t types.Type) bool {
	_, ok := t.Underlying().(*types.Pointer)
	return ok
}

func deref(t types.Type) types.Type {
	if p, ok := t.Underlying().(*types.Pointer); ok {
		return p.Elem()
	}
	return t
}

// typeName returns the name of a type with its package below the module.
func typeName(t types.Type) string {
	return strings.TrimPrefix(types.TypeString(types.Unalias(deref(types.Unalias(t))), nil), module+"/")
}

// exports says where the compiler left what each package exports.
var exports = sync.OnceValues(func() (map[string]string, error) {
	args := []string{"list", "-export", "-deps", "-json=ImportPath,Export"}
	for _, p := range managerRooms {
		args = append(args, "./"+p)
	}
	out, err := exec.Command("go", args...).Output()
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct{ ImportPath, Export string }
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		files[p.ImportPath] = p.Export
	}
})

func compiled(fset *token.FileSet, files map[string]string) types.Importer {
	return importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(files[path]) })
}

func newInfo() *types.Info {
	return &types.Info{
		Types: map[ast.Expr]types.TypeAndValue{}, Selections: map[*ast.SelectorExpr]*types.Selection{},
		Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{},
	}
}

// check parses and type-checks packages of this module, with the imports as the
// compiler left them.
func check(t *testing.T, paths ...string) (out []*checked) {
	t.Helper()
	files, err := exports()
	require.NoError(t, err)
	fset := token.NewFileSet()
	imports := compiled(fset, files)
	for _, path := range paths {
		names, err := filepath.Glob(filepath.Join(path, "*.go"))
		require.NoError(t, err)
		c := &checked{path: path, fset: fset, info: newInfo()}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
			require.NoError(t, err)
			c.files = append(c.files, f)
		}
		require.NotEmpty(t, c.files, path)
		conf := types.Config{Importer: imports}
		_, err = conf.Check(module+"/"+path, fset, c.files, c.info)
		require.NoError(t, err)
		c.findWrites()
		out = append(out, c)
	}
	return out
}
