package api

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"

	"github.com/elastipod/elastipod/cms"
)

// Access says who may reach an [API]; its fields, Tokens, AllowedHosts and
// AllowedOrigins, are those of [Config].
type Access struct {
	Tokens                       []Token
	AllowedHosts, AllowedOrigins []string
}

// access is an [Access] in the form in which it is asked. It is immutable.
type access struct {
	tokens  []tokenHash
	hosts   []string
	origins *http.CrossOriginProtection
}

type tokenHash struct {
	name   string
	role   Role
	secret [sha256.Size]byte
}

// SetAccess replaces who may reach the API, from the next request on. Streams of
// events and logs that were opened with a token that is not valid any more, or
// without one where there is one now, are cut; other requests that run go on.
// An error holds every fault, and then nothing has changed.
func (a *API) SetAccess(s Access) error {
	c := a.cfg
	c.Tokens, c.AllowedHosts, c.AllowedOrigins = s.Tokens, s.AllowedHosts, s.AllowedOrigins
	if err := c.validate(); err != nil {
		return err
	}
	next, err := newAccess(s)
	if err != nil {
		return err
	}
	a.access.Store(next)
	a.streams.cut(next.admits)
	return nil
}

func newAccess(s Access) (*access, error) {
	out := &access{hosts: slices.Clone(s.AllowedHosts), origins: http.NewCrossOriginProtection()}
	for i, o := range s.AllowedOrigins {
		if err := out.origins.AddTrustedOrigin(o); err != nil {
			var f cms.Faults
			f.Add(fmt.Sprintf("AllowedOrigins[%d]", i), `use origins such as "https://ops.example.com"`, "%s", err)
			return nil, fmt.Errorf("api: %w", f.Err())
		}
	}
	for _, t := range s.Tokens {
		out.tokens = append(out.tokens, tokenHash{t.Name, t.Role, sha256.Sum256([]byte(t.Secret))})
	}
	return out, nil
}

// admits says whether a request that came with the token may still be answered.
func (s *access) admits(t tokenHash) bool {
	return len(s.tokens) == 0 || slices.ContainsFunc(s.tokens, func(x tokenHash) bool { return x.secret == t.secret })
}

type tokenKey struct{}

// tokenOf returns the token that a request came with; zero where the API has no
// tokens.
func tokenOf(ctx context.Context) tokenHash {
	t, _ := ctx.Value(tokenKey{}).(tokenHash)
	return t
}

// callerOf returns the name of the token that a request came with; "" where
// the API has no tokens.
func callerOf(ctx context.Context) string { return tokenOf(ctx).name }
