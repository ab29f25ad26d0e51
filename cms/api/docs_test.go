package api_test

import (
	"io"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The documentation page and all that it needs come from this server.
func TestDocsNeedNobodyElse(t *testing.T) {
	a := newAPI(t, newFake())
	r := call(t, a, "GET", "/docs", nil)
	page, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	assert.Contains(t, string(page), "/openapi.json")
	assert.Contains(t, r.Header.Get("Content-Security-Policy"), "default-src 'self'")
	refs := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllSubmatch(page, -1)
	require.GreaterOrEqual(t, len(refs), 4)
	for _, ref := range refs {
		file := string(ref[1])
		r := call(t, a, "GET", file, nil)
		require.Equal(t, 200, r.StatusCode, file)
		data, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		assert.NotEmpty(t, data)
		switch {
		case regexp.MustCompile(`\.js$`).MatchString(file):
			assert.Contains(t, r.Header.Get("Content-Type"), "javascript", "a browser refuses others")
		case regexp.MustCompile(`\.css$`).MatchString(file):
			assert.Contains(t, r.Header.Get("Content-Type"), "text/css", "a browser refuses others")
		}
	}
}
