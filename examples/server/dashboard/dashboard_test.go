package dashboard_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/serve"
	"github.com/elastipod/elastipod/examples/server/dashboard"
)

func ask(t *testing.T, about serve.Page, target string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	d, err := dashboard.New(about)
	require.NoError(t, err)
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w
}

func TestPage(t *testing.T) {
	w := ask(t, serve.Page{Cluster: `a<script>alert(1)</script>"`, Version: "v1", Tokens: true}, "/")
	assert.Equal(t, 200, w.Code)
	assert.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"))
	body := w.Body.String()
	assert.NotContains(t, body, "<script>alert", "a name must stay a text")
	assert.Contains(t, body, `content="token"`)
	assert.NotContains(t, ask(t, serve.Page{}, "/").Body.String(), "CLOUD_TOKEN")
}

// Nothing that the page may do needs more than its own server, and no script or
// style stands in a page.
func TestPolicy(t *testing.T) {
	for _, target := range []string{"/", "/dashboard/app.js", "/dashboard/nothing"} {
		policy := ask(t, serve.Page{}, target).Header().Get("Content-Security-Policy")
		assert.True(t, strings.HasPrefix(policy, "default-src 'none'; script-src 'self'; style-src 'self';"), policy)
		assert.NotContains(t, policy, "unsafe")
		assert.Contains(t, policy, "frame-ancestors 'none'")
	}
	body := ask(t, serve.Page{Tokens: true}, "/").Body.String()
	assert.NotRegexp(t, `(?i)<style|\sstyle=|\son[a-z]+=|<script(\s*>|[^>]*>[^<])`, body)
}

// The files of the page ask for nothing from elsewhere, and never read markup
// or run text.
func TestFilesStayAtHome(t *testing.T) {
	elsewhere := regexp.MustCompile(`https?://[^\s'"]+`)
	require.NoError(t, fs.WalkDir(os.DirFS("web"), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path.Join("web", name))
		require.NoError(t, err)
		for _, url := range elsewhere.FindAllString(string(data), -1) {
			assert.Equal(t, "http://www.w3.org/2000/svg", url, name)
		}
		assert.NotRegexp(t, `innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setAttribute\('style'`, string(data), name)
		return nil
	}))
}

func TestFiles(t *testing.T) {
	for name, kind := range map[string]string{
		"app.js": "text/javascript; charset=utf-8", "style.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml", "uPlot.min.js": "text/javascript; charset=utf-8",
	} {
		w := ask(t, serve.Page{}, serve.PagePrefix+name)
		assert.Equal(t, 200, w.Code, name)
		assert.Equal(t, kind, w.Header().Get("Content-Type"), name)
		assert.NotEmpty(t, w.Body.Bytes(), name)
		again := ask(t, serve.Page{}, serve.PagePrefix+name, "If-None-Match", w.Header().Get("ETag"))
		assert.Equal(t, http.StatusNotModified, again.Code, name)
		assert.Empty(t, again.Body.Bytes(), name)
	}
	for _, target := range []string{"/dashboard/", "/dashboard/index.html", "/dashboard/../dashboard.go", "/other"} {
		assert.Equal(t, http.StatusNotFound, ask(t, serve.Page{}, target).Code, target)
	}
}

// The chart library is the one that was looked at.
func TestChartLibrary(t *testing.T) {
	for name, want := range map[string]string{
		"uPlot.min.js":  "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
		"uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
	} {
		sum := sha256.Sum256(ask(t, serve.Page{}, serve.PagePrefix+name).Body.Bytes())
		assert.Equal(t, want, hex.EncodeToString(sum[:]), name)
	}
}
