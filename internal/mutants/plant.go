package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
)

// mutant is one planted bug.
type mutant struct {
	ID   int
	File string // base name
	Line int
	What string // what was changed, such as "a < b → a <= b"
}

func (m mutant) String() string { return fmt.Sprintf("%s:%d: %s", m.File, m.Line, m.What) }

// planter plants bugs into one file, as text around the places that the parser
// finds, so that what is not changed stays as it was written.
type planter struct {
	name string
	src  []byte
	fset *token.FileSet
	next func(mutant) int // gives a mutant its number
	// edits are what is inserted, and where.
	edits []edit
	depth int
}

type edit struct {
	at    int
	text  string
	order int // among those at the same place: closings before openings, outer openings first
}

// plant returns the source of a file with every bug behind its switch.
func plant(name string, src []byte, next func(mutant) int) ([]byte, error) {
	p := &planter{name: name, src: src, fset: token.NewFileSet(), next: next}
	f, err := parser.ParseFile(p.fset, name, src, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
			ast.Walk(p, fn.Body)
		}
	}
	slices.SortStableFunc(p.edits, func(a, b edit) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.order, b.order)) })
	var out strings.Builder
	done := 0
	for _, e := range p.edits {
		out.Write(src[done:e.at])
		out.WriteString(e.text)
		done = e.at
	}
	out.Write(src[done:])
	return []byte(out.String()), nil
}

// Visit implements [ast.Visitor].
func (p *planter) Visit(n ast.Node) ast.Visitor {
	p.depth++
	switch n := n.(type) {
	case nil:
		p.depth--
		return nil
	case *ast.BlockStmt:
		p.statements(n.List)
	case *ast.CaseClause:
		p.statements(n.Body)
		for _, e := range n.List {
			p.negate(e)
		}
	case *ast.CommClause:
		p.statements(n.Body)
	case *ast.IfStmt:
		p.negate(n.Cond)
	case *ast.ForStmt:
		if n.Cond != nil {
			p.negate(n.Cond)
		}
	case *ast.BinaryExpr:
		p.binary(n)
	case *ast.CallExpr:
		p.call(n)
	}
	return p
}

func (p *planter) text(n ast.Node) string {
	return string(p.src[p.offset(n.Pos()):p.offset(n.End())])
}

func (p *planter) offset(pos token.Pos) int { return p.fset.Position(pos).Offset }

// mutant numbers a bug at n.
func (p *planter) mutant(n ast.Node, format string, args ...any) int {
	return p.next(mutant{File: p.name, Line: p.fset.Position(n.Pos()).Line, What: strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " ")})
}

// around inserts text before and after n.
func (p *planter) around(n ast.Node, before, after string) {
	p.edits = append(p.edits,
		edit{p.offset(n.Pos()), before, p.depth},
		edit{p.offset(n.End()), after, -p.depth})
}

// instead makes an expression of a type that T names have the value of other
// while the bug is on.
func (p *planter) instead(n ast.Node, id int, other string) {
	p.around(n, fmt.Sprintf("func() bool { if mutated(%d) { return %s }; return ", id, other), " }()")
}

// comparisons are what else a comparison may say.
var comparisons = map[token.Token][]token.Token{
	token.EQL: {token.NEQ}, token.NEQ: {token.EQL},
	token.LSS: {token.LEQ, token.GEQ}, token.LEQ: {token.LSS, token.GTR},
	token.GTR: {token.GEQ, token.LEQ}, token.GEQ: {token.GTR, token.LSS},
	token.LAND: {token.LOR}, token.LOR: {token.LAND},
}

func (p *planter) binary(n *ast.BinaryExpr) {
	x, y := p.text(n.X), p.text(n.Y)
	for _, op := range comparisons[n.Op] {
		p.instead(n, p.mutant(n, "%s → %s %s %s", p.text(n), x, op, y), "("+x+") "+op.String()+" ("+y+")")
		p.depth++
	}
	p.depth -= len(comparisons[n.Op])
	other := map[token.Token]string{token.ADD: "-", token.SUB: "+"}[n.Op]
	if lit, ok := n.Y.(*ast.BasicLit); ok && other != "" && lit.Kind == token.INT {
		if _, both := n.X.(*ast.BasicLit); !both {
			id := p.mutant(n, "%s → %s %s %s", p.text(n), x, other, y)
			p.around(n, fmt.Sprintf("either(mutated(%d), (%s) %s %s, ", id, x, other, y), ")")
		}
	}
}

func (p *planter) call(n *ast.CallExpr) {
	name, ok := n.Fun.(*ast.Ident)
	if !ok || len(n.Args) != 2 || name.Name != "min" && name.Name != "max" {
		return
	}
	other := map[string]string{"min": "max", "max": "min"}[name.Name]
	x, y := p.text(n.Args[0]), p.text(n.Args[1])
	p.around(n, fmt.Sprintf("either(mutated(%d), %s(%s, %s), ", p.mutant(n, "%s → %s", p.text(n), other), other, x, y), ")")
}

// negate negates a condition that is no comparison: those have bugs of their own.
func (p *planter) negate(e ast.Expr) {
	switch e := e.(type) {
	case *ast.BinaryExpr, *ast.BasicLit:
		return
	case *ast.Ident, *ast.SelectorExpr:
		if name, ok := e.(*ast.Ident); !ok || name.Name != "ok" && name.Name != "found" && name.Name != "known" {
			return // it may be no condition but a value of a switch
		}
	case *ast.UnaryExpr:
		if e.Op != token.NOT {
			return
		}
	case *ast.CallExpr:
	default:
		return
	}
	p.around(e, "(", fmt.Sprintf(") != mutated(%d)", p.mutant(e, "%s → not that", p.text(e))))
}

// statements leaves statements out, one at a time.
func (p *planter) statements(list []ast.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.ExprStmt:
			if c, ok := s.X.(*ast.CallExpr); ok {
				if name, ok := c.Fun.(*ast.Ident); ok && name.Name == "panic" {
					continue
				}
			}
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE {
				continue
			}
		case *ast.IncDecStmt:
		case *ast.BranchStmt:
			if s.Label != nil || s.Tok != token.CONTINUE && s.Tok != token.BREAK {
				continue
			}
		case *ast.ReturnStmt:
			if len(s.Results) > 0 {
				continue
			}
		default:
			continue
		}
		p.around(s, fmt.Sprintf("if !mutated(%d) { ", p.mutant(s, "%s → nothing", p.text(s))), " }")
	}
}
