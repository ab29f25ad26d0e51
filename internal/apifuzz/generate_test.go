package apifuzz

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
)

// Generator makes requests. The same seed makes the same ones, in the same
// order. It is for one goroutine.
type Generator struct {
	*rand.Rand
	doc *Document
	bad int // how many values of this request will be hostile, at most
}

// New returns a generator of requests to what the document describes.
func New(d *Document, seed, stream uint64) *Generator {
	return &Generator{Rand: rand.New(rand.NewPCG(seed, stream)), doc: d}
}

func pick[T any](g *Generator, from []T) T { return from[g.IntN(len(from))] }

// Request is a request to be. Its parts can be left out one by one, until one is
// found that still does the same.
type Request struct {
	Op      *Operation // nil: of none
	Method  string
	Path    string
	Query   []string // "name=value"
	Headers []string // "Name: value"
	Length  string   // of the body, as told; "": as it is
	body    value    // nil: none
}

// Next returns the next request.
func (g *Generator) Next() Request {
	g.bad = 0
	if g.IntN(10) >= 4 {
		g.bad = 1 + g.IntN(3)
	}
	op := &g.doc.Operations[g.IntN(len(g.doc.Operations))]
	if op.Method == "DELETE" && g.IntN(2) == 0 || g.IntN(3) == 0 {
		op = pick(g, g.doc.creating) // or there would be little to meet
	}
	r := Request{Op: op, Method: op.Method, Path: op.Path}
	for _, p := range op.params {
		g.parameter(&r, p)
	}
	if op.body != nil {
		r.body = g.value(op.body, "", 0)
		r.Headers = append(r.Headers, "Content-Type: "+pick(g, op.media))
	}
	if g.IntN(8) == 0 {
		g.spoil(&r)
	}
	return r
}

func (g *Generator) parameter(r *Request, p parameter) {
	s := g.scalar(g.doc.resolve(p.Schema), p.Name, p.Description)
	if g.hostile(12) {
		s = pick(g, hostileStrings)
	}
	switch p.In {
	case "path":
		r.Path = strings.ReplaceAll(r.Path, "{"+p.Name+"}", url.PathEscape(s))
	case "query":
		if p.Required || g.IntN(3) == 0 {
			r.Query = append(r.Query, url.QueryEscape(p.Name)+"="+url.QueryEscape(s))
		}
	case "header":
		if g.IntN(3) == 0 {
			r.Headers = append(r.Headers, p.Name+": "+oneLine(s))
		}
	}
}

// spoil makes something be wrong with the request itself.
func (g *Generator) spoil(r *Request) {
	switch g.IntN(16) {
	case 0:
		r.Method, r.Op = pick(g, []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW", "get", strings.Repeat("A", 300)}), nil
	case 1:
		r.Path, r.Op = r.Path+pick(g, []string{"/", "//", "/..", "/../..", "/.", ";a=b", "%2f", "%", "%00", "/\xff", "/ ", "#x"}), nil
	case 2:
		r.Path, r.Op = pick(g, []string{"", "/", "*", "//v1/pods", "/v1", "/v1//pods", "/V1/PODS", "http://other/v1/pods", "/v1/pods/" + strings.Repeat("a/", 500), "/v1/" + strings.Repeat("x", 20000), "/v1/pods/%2e%2e/hosts"}), nil
	case 3:
		r.Query = append(r.Query, pick(g, []string{"nosuch=1", "=", "&&&", "limit", "limit=1&limit=2", "%zz=1", "a;b", strings.Repeat("a=b&", 2000), strings.Repeat("x", 9000), "limit=%ff", "wait=1s&wait=2s"}))
	case 4:
		r.Headers = append(r.Headers, "X-Big: "+strings.Repeat("y", 20000))
	case 5:
		for i := range 200 {
			r.Headers = append(r.Headers, fmt.Sprintf("X-%d: %d", i, i))
		}
	case 6:
		r.Headers = slices.DeleteFunc(r.Headers, func(h string) bool { return strings.HasPrefix(h, "Content-Type: ") }) // the first counts
		r.Headers = append(r.Headers, "Content-Type: "+pick(g, []string{"", "text/plain", "application/xml", "application/json; charset=utf-16", "multipart/form-data", "application/json;;;", "a/b/c", "application/JSON", "application/merge-patch+json"}))
	case 7:
		r.Headers = append(r.Headers, pick(g, []string{"Authorization: Bearer", "Authorization: Basic Og==", "Authorization: Bearer " + strings.Repeat("z", 9000), "Host: evil.example", "Origin: https://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site", "Content-Encoding: gzip", "Accept: text/html", "Accept: application/cbor", "Expect: 100-continue", "Last-Event-ID: -1", "Last-Event-ID: 99999999999999999999", "If-Match: *", "traceparent: 00-" + strings.Repeat("f", 32) + "-" + strings.Repeat("f", 16) + "-ff", "traceparent: x", "Range: bytes=0-1", "Connection: upgrade\r\nUpgrade: websocket", "X-Http-Method-Override: DELETE", "Transfer-Encoding: chunked"}))
	case 8:
		r.Length = pick(g, []string{"0", "1", "-1", "x", "99999999999", "1, 2"})
	case 9:
		r.body = text(pick(g, hostileTexts))
	case 10:
		if r.body != nil {
			s := encode(r.body)
			r.body = text(s[:g.IntN(len(s)+1)])
		}
	case 11:
		if r.body != nil {
			s := []byte(encode(r.body))
			for range 1 + g.IntN(4) {
				if len(s) > 0 {
					s[g.IntN(len(s))] = byte(g.IntN(256))
				}
			}
			r.body = text(s)
		}
	case 12:
		if g.IntN(6) > 0 {
			return // they take long
		}
		r.body = text(strings.Repeat(pick(g, []string{"a", " ", "[", `{"a":`, "\x00"}), 1<<20+g.IntN(10)))
	case 13:
		if o, ok := r.body.(object); ok && len(o) > 0 {
			r.body = append(o, pick(g, o))
		}
	case 14:
		r.body = nil
	case 15:
		if r.body == nil {
			r.body = text(pick(g, hostileTexts))
		} else {
			r.body = text(encode(r.body) + encode(r.body))
		}
	}
}

// hostile says, once in n times, whether the next value is to be a hostile one.
func (g *Generator) hostile(n int) bool {
	if g.bad == 0 || g.IntN(n) != 0 {
		return false
	}
	g.bad--
	return true
}

// value makes a value of a schema, for the field of that name.
func (g *Generator) value(s *schema, name string, depth int) value {
	if g.hostile(16) {
		return text(pick(g, hostileTexts))
	}
	s = g.doc.resolve(s)
	switch {
	case s == nil || depth > 8:
		return text("null")
	case s.Own == "policy":
		return text(pick(g, policies))
	case len(s.OneOf) > 0 && s.Own == "":
		return g.value(pick(g, s.OneOf), name, depth)
	case s.is("object"):
		return g.object(s, name, depth)
	case s.is("array"):
		out := list{}
		for range g.IntN(3) {
			out = append(out, g.value(s.Items, name, depth+1))
		}
		return out
	case s.is("string") || s.Own == "bytes" || s.Own == "duration":
		return text(quote(g.scalar(s, name, s.Description)))
	}
	return text(g.scalar(s, name, s.Description))
}

func (g *Generator) object(s *schema, name string, depth int) object {
	out := object{}
	// A merge patch takes what the whole takes.
	for _, n := range s.names {
		p := s.Properties[n]
		required := false
		for _, r := range s.Required {
			required = required || r == n
		}
		likely := 4
		if n == "image" || n == "ports" || n == "enabled" || n == "listen" {
			likely = 1 + g.IntN(2)
		}
		if n == "status" || p.ReadOnly || !required && g.IntN(likely) != 0 {
			continue
		}
		if required && g.hostile(30) {
			continue // left out
		}
		out = append(out, member{n, g.value(p, n, depth+1)})
	}
	if s.more != nil {
		for range g.IntN(3) {
			out = append(out, member{pick(g, []string{"http", "admin", "A", "B_1"}), g.value(s.more, name, depth+1)})
		}
	}
	if len(s.names) == 0 && s.more == nil {
		// Whatever the document calls by another name: any part of any schema.
		for _, n := range []string{"Pod", "Elasticity", "Host"} {
			if part := g.doc.schemas[n]; part != nil && g.IntN(3) == 0 {
				return g.object(part, name, depth)
			}
		}
	}
	if g.hostile(20) {
		out = append(out, member{pick(g, hostileStrings), text(pick(g, hostileTexts))})
	}
	return out
}

// scalar makes the text of a value that is no object and no list.
func (g *Generator) scalar(s *schema, name, description string) string {
	switch {
	case s == nil:
		return ""
	case len(s.Enum) > 0:
		return fmt.Sprint(pick(g, s.Enum))
	case s.Own == "bytes":
		return pick(g, []string{"8MiB", "64MiB", "100MB", "1GiB"})
	case s.Own == "duration":
		return pick(g, []string{"1ms", "50ms", "1s", "10s", "1m"})
	case s.Own == "cores":
		return pick(g, []string{"0.1", "0.5", "1", "2"})
	case s.is("boolean"):
		return pick(g, []string{"true", "false"})
	case s.is("integer"), s.is("number"):
		return g.number(s, name)
	}
	if words := choices(description); len(words) > 0 && g.IntN(4) > 0 {
		return pick(g, words)
	}
	if known := field(g, name); known != "" {
		return known
	}
	if len(s.Examples) > 0 {
		return fmt.Sprint(pick(g, s.Examples))
	}
	return pick(g, []string{"a", "x1", "production"})
}

func (g *Generator) number(s *schema, name string) string {
	low, high := 0.0, 6.0
	if s.Minimum != nil {
		low, high = *s.Minimum, *s.Minimum+6
	}
	if s.Maximum != nil {
		high = min(high, *s.Maximum)
	}
	if name == "ports" || name == "http" || name == "admin" {
		low, high = 1, 9000
	}
	if s.is("integer") {
		return fmt.Sprint(int(low) + g.IntN(int(high-low)+1))
	}
	return fmt.Sprintf("%.3g", low+g.Float64()*(high-low))
}

func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\r' || r == '\n' || r == 0 {
			return ' '
		}
		return r
	}, s)
}
