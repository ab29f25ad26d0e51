package api_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/api"
)

const (
	rightSecret = "0123456789abcdef-right"
	otherSecret = "0123456789abcdef-other"
)

// from sends a token from an address and returns the answer.
func from(a *api.API, address, secret string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "http://localhost/v1/whoami", nil)
	r.RemoteAddr = address
	if secret != "" {
		r.Header.Set("Authorization", "Bearer "+secret)
	}
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, r)
	return w
}

func guarded(t *testing.T, log *strings.Builder) *api.API {
	return newAPI(t, newFake(), func(c *api.Config) {
		c.Tokens = []api.Token{{Name: "ops", Role: api.Operator, Secret: rightSecret}, {Name: "tv", Role: api.Viewer, Secret: otherSecret}}
		c.Logger = slog.New(slog.NewTextHandler(log, nil))
	})
}

// Ten wrong tokens are answered 401, then one more in five seconds: the others
// are not looked at, and so a guess that is right does not show itself either.
func TestGuessedTokensAreSlowedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		a := guarded(t, &log)
		const attacker, colleague, elsewhere = "192.0.2.1:1000", "192.0.2.1:2000", "192.0.2.2:1000"
		assert.Equal(t, 200, from(a, colleague, otherSecret).Code)
		for i := range 10 {
			require.Equal(t, 401, from(a, attacker, fmt.Sprintf("guess-number-%d", i)).Code)
		}
		w := from(a, attacker, "guess-number-10")
		require.Equal(t, 429, w.Code)
		assert.Equal(t, "5", w.Header().Get("Retry-After"))
		assert.Contains(t, w.Body.String(), "too many wrong tokens")
		assert.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
		assert.Equal(t, w.Body.String(), from(a, attacker, rightSecret).Body.String(), "a right guess looks like a wrong one")
		assert.Equal(t, 200, from(a, colleague, otherSecret).Code, "who was known there before is let in")
		assert.Equal(t, 200, from(a, elsewhere, rightSecret).Code)
		assert.Equal(t, 401, from(a, attacker, "").Code, "no token is no guess")
		assert.Equal(t, 1, strings.Count(log.String(), "many wrong tokens"), "told once: %s", log.String())
		assert.NotContains(t, log.String(), "guess-number")

		time.Sleep(5 * time.Second)
		assert.Equal(t, 401, from(a, attacker, "guess-number-11").Code)
		assert.Equal(t, 429, from(a, attacker, "guess-number-12").Code)
		guessed := 0
		for range 3600 { // an hour of guessing without a pause
			time.Sleep(time.Second)
			if from(a, attacker, "guess-again").Code == 401 {
				guessed++
			}
		}
		assert.InDelta(t, 720, guessed, 2)
		time.Sleep(time.Minute)
		assert.Equal(t, 200, from(a, attacker, rightSecret).Code, "after a pause")
	})
}

// A client that has a whole network of IPv6 is one client, and one whose address
// is written in two ways as well.
func TestAddressesOfOneClientCountTogether(t *testing.T) {
	for name, addresses := range map[string]func(i int) string{
		"a /64":       func(i int) string { return fmt.Sprintf("[2001:db8::%x]:1", i+1) },
		"mapped":      func(i int) string { return []string{"192.0.2.1:1", "[::ffff:192.0.2.1]:1"}[i%2] },
		"zones":       func(i int) string { return fmt.Sprintf("[fe80::1%%eth%d]:1", i) },
		"unix socket": func(int) string { return "@" },
	} {
		t.Run(name, func(t *testing.T) {
			a := guarded(t, &strings.Builder{})
			for i := range 10 {
				require.Equal(t, 401, from(a, addresses(i), "wrong-wrong-wrong").Code)
			}
			assert.Equal(t, 429, from(a, addresses(11), "wrong-wrong-wrong").Code)
		})
	}
}

// Millions of addresses take no more memory than some thousands.
func TestGuessersAreForgotten(t *testing.T) {
	a := guarded(t, &strings.Builder{})
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	guess := func(n int) {
		for i := range n {
			a.Judge(fmt.Sprintf("10.%d.%d.%d:1", i>>16&255, i>>8&255, i&255))
		}
	}
	guess(5000)
	before := heap()
	guess(200_000)
	assert.Less(t, heap(), before+1<<20)
	assert.Equal(t, 4096, a.Guessers())
	w := from(a, "192.0.2.9:1", "wrong-wrong-wrong")
	assert.Equal(t, strconv.Itoa(401), strconv.Itoa(w.Code))
}
