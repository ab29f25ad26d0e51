package serve

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
)

// PagePrefix is the path below which the files of the page are served.
const PagePrefix = "/dashboard/"

// Page is what a page says about its server.
type Page struct {
	// Cluster is the cluster's name.
	Cluster string
	// Version is that of the server.
	Version string
	// Tokens says that the API asks for a token.
	Tokens bool
}

const textPage = `elastipod %[2]s, cluster %[1]s

  API       %[3]s/v1/cluster
  docs      %[3]s/docs
  OpenAPI   %[3]s/openapi.json
  metrics   %[3]s/metrics
  health    %[3]s/healthz  %[3]s/readyz
  command   cloud --server %[3]s pod ls
`

// page serves the program's page, which a reload replaces.
type page struct{ now atomic.Pointer[http.Handler] }

func (p *page) set(h http.Handler) { p.now.Store(&h) }

func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) { (*p.now.Load()).ServeHTTP(w, r) }

// newPage makes the page; nil: the program has none.
func (sv *server) newPage(s settings) (http.Handler, error) {
	if sv.program.Page == nil {
		return nil, nil
	}
	return sv.program.Page(Page{Cluster: sv.cluster, Version: version(), Tokens: len(s.tokens) > 0})
}

func (sv *server) wirePage(mux *http.ServeMux) error {
	h, err := sv.newPage(sv.settings)
	if err != nil {
		return err
	}
	sv.page.set(h)
	if h != nil {
		mux.Handle("GET "+PagePrefix, &sv.page)
	}
	mux.HandleFunc("GET /{$}", sv.root)
	return nil
}

// root says where everything is: to a browser with the page, to others as text.
func (sv *server) root(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Vary", "Accept")
	if sv.program.Page != nil && strings.Contains(r.Header.Get("Accept"), "text/html") {
		sv.page.ServeHTTP(w, r)
		return
	}
	base := "http://" + r.Host
	if r.TLS != nil {
		base = "https://" + r.Host
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, textPage, sv.cluster, version(), base)
}
