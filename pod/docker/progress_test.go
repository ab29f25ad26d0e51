package docker

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/pod"
)

func TestPullSaysWhatTheEngineSays(t *testing.T) {
	for stream, want := range map[string]string{
		`{"status":"Pulling"}{"errorDetail":{"code":1,"message":"manifest unknown"},"error":"in short"}`: "manifest unknown",
		`{"errorDetail":{},"error":"no space left on device"}`:                                           "no space left on device",
		`{"error":"unauthorized"}`: "unauthorized",
		`{"errorDetail":{}}`:       "the engine does not say why",
		`{"status":`:               "unexpected EOF",
		`<html>`:                   "invalid character",
	} {
		require.ErrorContains(t, readPull(strings.NewReader(stream), "app", nil), want, stream)
	}
}

func TestProgressThatCannotBe(t *testing.T) {
	var last pod.Progress
	require.NoError(t, readPull(strings.NewReader(`
		{"id":"a","status":"Downloading","progressDetail":{"current":50,"total":100}}
		{"id":"b","status":"Downloading","progressDetail":{"current":300,"total":200}}
		{"id":"c","status":"Downloading","progressDetail":{"current":-7,"total":100}}
		{"id":"d","status":"Downloading","progressDetail":{"current":1,"total":9223372036854775807}}
		{"id":"e","status":"Downloading","progressDetail":{"current":1}}
		{"id":"f","status":"Download complete"}
	`), "app", func(p pod.Progress) { last = p }))
	assert.Equal(t, pod.Progress{Message: "pulling app", Done: 250, Total: 400}, last)
}
