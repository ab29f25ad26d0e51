package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/internal/strict"
)

// guard wraps what every request goes through before it finds its route.
func (a *API) guard(mux *http.ServeMux, routes []string) answering {
	return func(w *patient, r *http.Request) {
		defer a.recoverFrom(w, r)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		a.boundBody(w, r)
		if p := a.checkHost(r); p != nil {
			p.write(w, r)
			return
		}
		if err := a.access.Load().origins.Check(r); err != nil {
			newProblem(http.StatusForbidden, "the request comes from a page of another origin (%.80q); "+
				"send it from a program, or add the origin to the server's allowed origins", r.Header.Get("Origin")).write(w, r)
			return
		}
		h, pattern := mux.Handler(r)
		if pattern == "" && r.URL.Path == "/docs/" && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			http.Redirect(w, r, "/docs", http.StatusMovedPermanently)
			return
		}
		if pattern == "" {
			noRoute(h, r, routes).write(w, r)
			return
		}
		if p := checkQuery(r.URL.RawQuery); p != nil {
			p.write(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	}
}

// checkQuery refuses parameters that may be read in more than one way: a dry run
// that somebody means must not be a real one.
func checkQuery(query string) *problem {
	values, err := url.ParseQuery(query)
	if err != nil {
		return newProblem(http.StatusUnprocessableEntity, "the query cannot be read; write name=value, with & between, and percent-encode the rest")
	}
	var f cms.Faults
	for _, name := range slices.Sorted(maps.Keys(values)) {
		switch v := values[name]; {
		case len(v) > 1:
			f.Add(name, "give it once", "is there %d times", len(v))
		case v[0] == "" && name != "after": // which begins with the first
			f.Add(name, "give it a value, or leave it out", "is empty")
		}
	}
	if len(f) == 0 {
		return nil
	}
	return invalid(f)
}

func (a *API) recoverFrom(w *patient, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if err, ok := v.(error); ok && (errors.Is(err, http.ErrAbortHandler) || r.Context().Err() != nil) {
		panic(http.ErrAbortHandler) // the client has gone, or must see that the answer is broken off
	}
	a.log.ErrorContext(r.Context(), "request panicked", "method", r.Method, "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
	if w.status != 0 {
		panic(http.ErrAbortHandler) // the client must see that something is missing
	}
	newProblem(http.StatusInternalServerError, "the server failed; its log says more").write(w, r)
}

// checkHost keeps a page in a browser on this machine from reaching the API
// under a name of its own that it points at 127.0.0.1 (DNS rebinding).
func (a *API) checkHost(r *http.Request) *problem {
	hosts := a.access.Load().hosts
	if !toLoopback(r) || slices.Contains(hosts, "*") {
		return nil
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return nil
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsLoopback() {
		return nil
	}
	if slices.ContainsFunc(hosts, func(allowed string) bool { return strings.EqualFold(allowed, host) }) {
		return nil
	}
	return newProblem(http.StatusMisdirectedRequest, "the Host %.80q is not a name of this server; use localhost or 127.0.0.1, "+
		"or add it to the server's allowed hosts", r.Host)
}

// toLoopback says whether the request came to a loopback address. What cannot
// be known counts as one; browsers cannot reach unix sockets.
func toLoopback(r *http.Request) bool {
	switch addr := r.Context().Value(http.LocalAddrContextKey).(type) {
	case *net.TCPAddr:
		return addr.IP.IsLoopback()
	case *net.UnixAddr:
		return false
	}
	return true
}

// noRoute says why nothing is registered for a request. h is what the mux would
// have answered with.
func noRoute(h http.Handler, r *http.Request, routes []string) *problem {
	var seen discard
	h.ServeHTTP(&seen, r)
	if allow := seen.Header().Get("Allow"); seen.status == http.StatusMethodNotAllowed {
		return newProblem(http.StatusMethodNotAllowed, "%.20s is not possible here; use %s", r.Method, allow).header("Allow", allow)
	}
	path := r.URL.Path
	if trimmed := strings.TrimRight(path, "/"); trimmed != path && trimmed != "" {
		return newProblem(http.StatusNotFound, "there is nothing at %.200q; leave out the slash at its end", path)
	}
	hint := "see /docs for what there is"
	if best := strict.Nearest(path, routes); best != "" {
		hint = fmt.Sprintf("did you mean %s? See /docs for what there is", best)
	}
	return newProblem(http.StatusNotFound, "there is nothing at %.200q; %s", path, hint)
}

// discard is a ResponseWriter that keeps the head only.
type discard struct {
	head   http.Header
	status int
}

func (d *discard) Header() http.Header {
	if d.head == nil {
		d.head = http.Header{}
	}
	return d.head
}
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

// authorize lets requests of at least the role through.
func (a *API) authorize(role Role) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		access := a.access.Load()
		if len(access.tokens) == 0 {
			next(ctx)
			return
		}
		token, p := a.authenticate(ctx.Context(), access, ctx.RemoteAddr(), ctx.Header("Authorization"))
		noteCaller(ctx.Context(), token)
		a.traceCaller(ctx.Context(), token)
		if p == nil && token.role.rank() < role.rank() {
			p = newProblem(http.StatusForbidden, "the token %q has the role %s; this needs the role %s", token.name, token.role, role)
		}
		if p != nil {
			r, w := humago.Unwrap(ctx)
			p.write(w, r)
			return
		}
		next(huma.WithValue(ctx, tokenKey{}, token))
	}
}

const challenge = `Bearer realm="elastipod"`

func (a *API) authenticate(ctx context.Context, s *access, remote, header string) (tokenHash, *problem) {
	if header == "" {
		return tokenHash{}, newProblem(http.StatusUnauthorized,
			"this server asks for a token; send the header Authorization: Bearer TOKEN").header("WWW-Authenticate", challenge)
	}
	scheme, secret, _ := strings.Cut(header, " ")
	found, ok := s.find(strings.TrimSpace(secret))
	ok = ok && strings.EqualFold(scheme, "Bearer")
	if v := a.guesses.judge(remote, time.Now(), found, ok); v.wait > 0 {
		if v.first {
			a.log.WarnContext(ctx, "an address sends many wrong tokens and is slowed down", "address", remote)
		}
		return tokenHash{}, tooManyGuesses(v.wait)
	}
	if !ok {
		return tokenHash{}, newProblem(http.StatusUnauthorized,
			"the token is not one of this server; send the header Authorization: Bearer TOKEN with one that is").header("WWW-Authenticate", challenge+`, error="invalid_token"`)
	}
	return found, nil
}

// find returns the token of a secret.
func (s *access) find(secret string) (found tokenHash, ok bool) {
	sum := sha256.Sum256([]byte(secret))
	for _, t := range s.tokens { // all of them, whichever fits: the time says nothing
		if subtle.ConstantTimeCompare(sum[:], t.secret[:]) == 1 {
			found, ok = t, true
		}
	}
	return found, ok
}

// whenReady answers 503 until the manager knows what there is.
func (a *API) whenReady(ctx huma.Context, next func(huma.Context)) {
	select {
	case <-a.m.Ready():
		next(ctx)
	default:
		r, w := humago.Unwrap(ctx)
		notReady().write(w, r)
	}
}

func notReady() *problem {
	return newProblem(http.StatusServiceUnavailable, "the manager is still starting; try again in a moment").header("Retry-After", retrySoon)
}
