package apifuzz

import (
	"fmt"
	"slices"
	"strings"
)

// Bytes returns the request as it goes over a connection.
func (r Request) Bytes() []byte {
	var b strings.Builder
	target := r.Path
	if len(r.Query) > 0 {
		target += "?" + strings.Join(r.Query, "&")
	}
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", r.Method, target)
	if !slices.ContainsFunc(r.Headers, func(h string) bool { return strings.HasPrefix(h, "Host:") }) {
		b.WriteString("Host: localhost\r\n")
	}
	for _, h := range r.Headers {
		b.WriteString(h + "\r\n")
	}
	body := r.Body()
	switch {
	case r.Length != "":
		fmt.Fprintf(&b, "Content-Length: %s\r\n", r.Length)
	case r.body != nil:
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n" + body)
	return []byte(b.String())
}

// Body returns the body.
func (r Request) Body() string {
	if r.body == nil {
		return ""
	}
	return encode(r.body)
}

// String returns the request for a person, cut where it is long.
func (r Request) String() string {
	s := fmt.Sprintf("%q", r.Bytes())
	if len(s) > 4000 {
		s = s[:4000] + "…"
	}
	return s
}

// Shrink returns the smallest request that it finds for which fails still says
// so. It asks a few hundred times at most.
func Shrink(r Request, fails func(Request) bool) Request {
	tries := 0
	for {
		smaller := false
		for _, next := range r.parts() {
			if tries++; tries > 500 {
				return r
			}
			if fails(next) {
				r, smaller = next, true
				break
			}
		}
		if !smaller {
			return r
		}
	}
}

// parts returns the request without one part of it each, large parts first.
func (r Request) parts() []Request {
	var out []Request
	if r.body != nil {
		without := r
		without.body = nil
		out = append(out, without)
		for _, v := range lesser(r.body) {
			with := r
			with.body = v
			out = append(out, with)
		}
	}
	for i := range r.Headers {
		without := r
		without.Headers = slices.Delete(slices.Clone(r.Headers), i, i+1)
		out = append(out, without)
	}
	for i := range r.Query {
		without := r
		without.Query = slices.Delete(slices.Clone(r.Query), i, i+1)
		out = append(out, without)
	}
	return out
}

// lesser returns a value without one part of it each.
func lesser(v value) []value {
	var out []value
	switch v := v.(type) {
	case object:
		for i := range v {
			out = append(out, slices.Delete(slices.Clone(v), i, i+1))
		}
		for i := range v {
			for _, less := range lesser(v[i].value) {
				with := slices.Clone(v)
				with[i].value = less
				out = append(out, with)
			}
		}
	case list:
		for i := range v {
			out = append(out, slices.Delete(slices.Clone(v), i, i+1))
		}
		for i := range v {
			for _, less := range lesser(v[i]) {
				with := slices.Clone(v)
				with[i] = less
				out = append(out, with)
			}
		}
	case text:
		if len(v) > 8 {
			out = append(out, v[:len(v)/2], v[len(v)/2:])
		}
	}
	return out
}
