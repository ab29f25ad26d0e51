package docs

import (
	"go/ast"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// docLinkRE is a doc link such as [Spec], [Spec.Validate], [*Spec] or [pod.Spec].
var docLinkRE = regexp.MustCompile(`\[\*?([a-z]\w*\.)?([A-Z]\w*)(?:\.([A-Z]\w*))?\]`)

// TestDocLinksResolve: a name in brackets is one of the package, or of another
// one of this module; elsewhere a docs site would show the brackets.
func TestDocLinksResolve(t *testing.T) {
	symbols := map[string]map[string]bool{} // by the package's directory
	files := goFiles(t)
	for dir, all := range files {
		symbols[dir] = map[string]bool{}
		for _, f := range all {
			declared(f.ast, symbols[dir])
		}
	}
	byName := map[string]map[string]bool{}
	for dir, set := range symbols {
		byName[path.Base(dir)] = set
	}
	n := 0
	for dir, all := range files {
		for _, f := range all {
			for _, decl := range comments(f.ast) {
				for _, m := range docLinkRE.FindAllStringSubmatch(decl, -1) {
					set, name := symbols[dir], m[2]
					if m[1] != "" {
						set = byName[strings.TrimSuffix(m[1], ".")]
						if set == nil {
							continue // of another module
						}
					}
					if m[3] != "" {
						name += "." + m[3]
					}
					n++
					assert.True(t, set[name], "%s: %s", filepath.Join(dir, f.name), m[0])
				}
			}
		}
	}
	require.Greater(t, n, 300)
}

// declared adds the names of a file to the set: top-level ones, methods, fields.
func declared(file *ast.File, set map[string]bool) {
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil {
				name = typeName(d.Recv.List[0].Type) + "." + name
			}
			set[name] = true
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.ValueSpec:
					for _, name := range s.Names {
						set[name.Name] = true
					}
				case *ast.TypeSpec:
					set[s.Name.Name] = true
					var list *ast.FieldList
					switch body := s.Type.(type) {
					case *ast.StructType:
						list = body.Fields
					case *ast.InterfaceType:
						list = body.Methods
					default:
						continue
					}
					for _, f := range list.List {
						for _, name := range f.Names {
							set[s.Name.Name+"."+name.Name] = true
						}
					}
				}
			}
		}
	}
}

// comments returns those that a docs site shows: of the package and of exported
// names.
func comments(file *ast.File) []string {
	out := []string{file.Doc.Text()}
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() {
				out = append(out, d.Doc.Text())
			}
		case *ast.GenDecl:
			out = append(out, d.Doc.Text())
			for _, spec := range d.Specs {
				if s, ok := spec.(*ast.TypeSpec); ok && s.Name.IsExported() {
					out = append(out, s.Doc.Text())
				}
			}
		}
	}
	return out
}
