package apifuzz

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const document = `{"paths":{
 "/v1/pods":{"post":{"requestBody":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/Pod"}}}},"responses":{"201":{},"422":{}}}},
 "/v1/pods/{pod}":{"get":{"parameters":[{"name":"pod","in":"path","required":true,"schema":{"type":"string"}},{"name":"limit","in":"query","schema":{"type":"integer","minimum":1,"maximum":3}}],"responses":{"200":{}}}}},
 "components":{"schemas":{
  "Pod":{"type":"object","required":["name"],"properties":{"name":{"type":"string"},"limits":{"$ref":"#/components/schemas/Limits"},"env":{"type":"object","additionalProperties":{"type":"string"}},
   "hosts":{"type":["array","null"],"items":{"type":"string"}},"mode":{"type":"string","description":"\"act\" or \"dry-run\"."}}},
  "Limits":{"type":"object","properties":{"cpu":{"type":"number","x-elastipod-type":"cores"}}}}}}`

func parsed(t *testing.T) *Document {
	t.Helper()
	d, err := Parse([]byte(document))
	require.NoError(t, err)
	require.Len(t, d.Operations, 2)
	assert.Equal(t, "GET /v1/pods/{pod}", d.Operations[1].String())
	assert.True(t, d.Operations[0].Documented(422))
	assert.False(t, d.Operations[0].Documented(500))
	return d
}

func TestTheSameSeedMakesTheSameRequests(t *testing.T) {
	d := parsed(t)
	a, b, other := New(d, 1, 2), New(d, 1, 2), New(d, 1, 3)
	differ := 0
	for range 500 {
		x, y := a.Next().Bytes(), b.Next().Bytes()
		require.Equal(t, x, y)
		if !bytes.Equal(x, other.Next().Bytes()) {
			differ++
		}
	}
	assert.Greater(t, differ, 400)
}

// Most requests can be read, most bodies are JSON, and there are some of each
// kind that are not.
func TestRequestsAreOfAllKinds(t *testing.T) {
	g := New(parsed(t), 1, 1)
	var unread, broken, whole, limited, hosts, modes int
	for range 5000 {
		q := g.Next()
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(q.Bytes())))
		if err != nil {
			unread++
			continue
		}
		if r.URL.Query().Get("limit") != "" {
			limited++
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || len(body) == 0 {
			continue
		}
		var v struct {
			Mode  string
			Hosts []string
		}
		if json.Unmarshal(body, &v) != nil {
			broken++
			continue
		}
		whole++
		if len(v.Hosts) > 0 {
			hosts++
		}
		if v.Mode == "act" || v.Mode == "dry-run" {
			modes++
		}
	}
	t.Logf("%d unread, %d with a broken body, %d with a whole one, %d with a limit", unread, broken, whole, limited)
	for what, n := range map[string]int{"unread": unread, "broken": broken, "whole": whole, "limited": limited, "hosts": hosts, "modes": modes} {
		assert.Greater(t, n, 20, what)
	}
	assert.Greater(t, whole, broken)
}

// A planted fault is found, and made small.
func TestPlantedFaultIsFoundAndShrunk(t *testing.T) {
	d := parsed(t)
	fails := func(q Request) bool {
		return q.Method == http.MethodPost && strings.Contains(q.Body(), `"limits":{"cpu":"NaN"`)
	}
	g := New(d, 1, 1)
	for n := range 200000 {
		q := g.Next()
		if !fails(q) {
			continue
		}
		least := Shrink(q, fails)
		assert.Equal(t, `{"limits":{"cpu":"NaN"}}`, least.Body())
		assert.Empty(t, least.Headers)
		t.Logf("found after %d requests", n)
		return
	}
	require.Fail(t, "not found")
}
