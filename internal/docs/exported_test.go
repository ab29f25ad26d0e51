package docs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestExportedNamesHaveComments: what a docs site shows has words to it. A group
// of constants, variables or one-line fields may share the comment above it; a
// struct that crosses the wire may tell of a field in its "doc" tag, which the
// API's own documentation shows.
func TestExportedNamesHaveComments(t *testing.T) {
	packages := 0
	for dir, files := range goFiles(t) {
		documented := false
		for _, file := range files {
			documented = documented || strings.TrimSpace(file.ast.Doc.Text()) != ""
			for _, fault := range undocumented(file.set, file.ast, slices.Contains(strings.Split(dir, "/"), "internal")) {
				assert.Fail(t, "no comment", "%s: %s", filepath.Join(dir, file.name), fault)
			}
		}
		assert.True(t, documented, "%s: the package has no comment", dir)
		packages++
	}
	require.Greater(t, packages, 20)
}

// The check can fail.
func TestUndocumentedNamesAreFound(t *testing.T) {
	const source = `package x

type A struct {
	Bare int
	// Said is said.
	Said int
	Tail int // is said too
	Wire int ` + "`doc:\"Said.\"`" + `
	X, Y int
	hidden int

	// First and Second are a pair.
	First int
	Second int
	Third int
}

func (A) Do() {}
func (a) Do() {}
func f() {}
func F() {}
type a int
const (
	One = 1
	Two = 2 // is said
)
// Three and Four are a group.
const (
	Three = 3
	Four = 4
)
var V int
// I is a port. Told is told of here.
type I interface {
	Loud()
	Told()
	// Said says.
	Said()
	A
}
`
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "x.go", source, parser.ParseComments)
	require.NoError(t, err)
	var names []string
	for _, fault := range undocumented(set, file, false) {
		_, name, _ := strings.Cut(fault, " ")
		names = append(names, name)
	}
	assert.ElementsMatch(t, []string{"A", "A.Bare", "A.X", "A.Third", "A.Do", "F", "One", "V", "I.Loud"}, names)
}

type goFile struct {
	name string
	set  *token.FileSet
	ast  *ast.File
}

// goFiles parses the module's files that are no tests, by directory.
func goFiles(t *testing.T) map[string][]goFile {
	t.Helper()
	all := map[string][]goFile{}
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "bin" || name == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		all[dir] = append(all[dir], goFile{name: name, set: set, ast: file})
		return nil
	}))
	return all
}

// undocumented returns "line N name" for each exported name without a comment.
func undocumented(set *token.FileSet, file *ast.File, helper bool) []string {
	c := checker{set: set, helper: helper}
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			c.function(d)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				c.spec(d, spec)
			}
		}
	}
	return c.faults
}

type checker struct {
	set    *token.FileSet
	helper bool // in an internal package
	faults []string
}

func (c *checker) need(name string, at ast.Node, comments ...*ast.CommentGroup) {
	for _, comment := range comments {
		if strings.TrimSpace(comment.Text()) != "" {
			return
		}
	}
	c.faults = append(c.faults, fmt.Sprintf("line-%d: %s", c.set.Position(at.Pos()).Line, name))
}

func (c *checker) function(d *ast.FuncDecl) {
	if !d.Name.IsExported() {
		return
	}
	name := d.Name.Name
	if d.Recv != nil {
		receiver := typeName(d.Recv.List[0].Type)
		if !ast.IsExported(receiver) {
			return
		}
		name = receiver + "." + name
	}
	c.need(name, d, d.Doc)
}

func (c *checker) spec(d *ast.GenDecl, spec ast.Spec) {
	switch s := spec.(type) {
	case *ast.ValueSpec:
		for _, name := range s.Names {
			if name.IsExported() {
				// The comment of a group is above its bracket.
				c.need(name.Name, name, d.Doc, s.Doc, s.Comment)
				break
			}
		}
	case *ast.TypeSpec:
		if !s.Name.IsExported() {
			return
		}
		doc := s.Doc
		if !d.Lparen.IsValid() {
			doc = d.Doc
		}
		c.need(s.Name.Name, s, doc, s.Comment)
		switch body := s.Type.(type) {
		case *ast.StructType:
			c.fields(s.Name.Name, doc, body.Fields)
		case *ast.InterfaceType:
			c.fields(s.Name.Name, doc, body.Methods)
		}
	}
}

// fields asks for the words of each member: its own comment, that of its
// neighbour above or of its type where these name it, or its "doc" tag. Helpers
// without a promise need none.
func (c *checker) fields(owner string, typeDoc *ast.CommentGroup, list *ast.FieldList) {
	if c.helper {
		return
	}
	shared, line := "", 0
	for _, f := range list.List {
		at := c.set.Position(f.Pos()).Line
		if f.Doc != nil {
			shared = f.Doc.Text()
		} else if at != line+1 {
			shared = ""
		}
		line = c.set.Position(f.End()).Line
		if f.Tag != nil && strings.Contains(f.Tag.Value, `doc:"`) {
			continue
		}
		for _, name := range f.Names { // an embedded one brings its own comment
			if !name.IsExported() {
				continue
			}
			if !names(shared, name.Name) && !names(typeDoc.Text(), name.Name) {
				c.need(owner+"."+name.Name, name, f.Doc, f.Comment)
			}
			break
		}
	}
}

// names says whether a comment speaks of a member.
func names(comment, member string) bool {
	return regexp.MustCompile(`\b` + member + `\b`).MatchString(comment)
}

// typeName returns the name of a receiver's type.
func typeName(e ast.Expr) string {
	switch x := e.(type) {
	case *ast.StarExpr:
		return typeName(x.X)
	case *ast.IndexExpr:
		return typeName(x.X)
	case *ast.IndexListExpr:
		return typeName(x.X)
	case *ast.Ident:
		return x.Name
	}
	return ""
}
