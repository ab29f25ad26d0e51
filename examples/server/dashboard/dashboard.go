// Package dashboard is the page on which people see and steer a cluster: plain
// ES modules and CSS that this package embeds, and the charts of the vegeta
// module. Everything that the page shows comes from the REST API of the server
// that serves it, live over server-sent events; it loads nothing from elsewhere.
package dashboard

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"

	"github.com/tsenart/vegeta/v12/lib/plot"

	"github.com/elastipod/elastipod/cms/serve"
)

// policy lets the page load scripts, styles and data from its own server only.
// No script and no style stands in the page itself.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

//go:embed web
var web embed.FS

// charts are the files of the chart library.
var charts = []string{"uPlot.min.js", "uPlot.min.css"}

// asset is a file as it is sent.
type asset struct {
	data      []byte
	mediaType string
	etag      string
}

// dashboard serves the page and its files.
type dashboard struct {
	page  asset
	files map[string]asset
}

// New is the Page of a [serve.Program]. It fails only where a file that was built
// in is missing or broken.
func New(about serve.Page) (http.Handler, error) {
	d := &dashboard{files: map[string]asset{}}
	err := fs.WalkDir(web, "web", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || path.Ext(name) == ".html" {
			return err
		}
		data, err := web.ReadFile(name)
		d.files[strings.TrimPrefix(name, "web/")] = newAsset(name, data)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("dashboard: read the files: %w", err)
	}
	for _, name := range charts {
		data, err := readChart(name)
		if err != nil {
			return nil, fmt.Errorf("dashboard: read %s of the chart library: %w", name, err)
		}
		d.files[name] = newAsset(name, data)
	}
	html, err := template.ParseFS(web, "web/index.html")
	if err != nil {
		return nil, fmt.Errorf("dashboard: read the page: %w", err)
	}
	var page bytes.Buffer
	if err := html.Execute(&page, about); err != nil {
		return nil, fmt.Errorf("dashboard: make the page: %w", err)
	}
	d.page = newAsset("index.html", page.Bytes())
	return d, nil
}

func readChart(name string) ([]byte, error) {
	f, err := plot.Assets.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

func newAsset(name string, data []byte) asset {
	sum := sha256.Sum256(data)
	types := map[string]string{".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"} // whatever the system says
	kind, ok := types[path.Ext(name)]
	if !ok {
		kind = mime.TypeByExtension(path.Ext(name))
	}
	return asset{data: data, mediaType: kind, etag: `"` + hex.EncodeToString(sum[:12]) + `"`}
}

// ServeHTTP serves the page at "/" and the files below [serve.PagePrefix]; 404 otherwise.
func (d *dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a, ok := d.page, r.URL.Path == "/"
	if !ok {
		var name string
		if name, ok = strings.CutPrefix(r.URL.Path, serve.PagePrefix); ok {
			a, ok = d.files[name]
		}
	}
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", policy)
	if !ok {
		http.NotFound(w, r)
		return
	}
	h.Set("Content-Type", a.mediaType)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache") // asked for anew each time, sent only when it changed
	h.Set("ETag", a.etag)
	if strings.Contains(r.Header.Get("If-None-Match"), a.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", fmt.Sprint(len(a.data)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(a.data)
	}
}
