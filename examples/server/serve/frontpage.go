package serve

import (
	"fmt"
	"net/http"
	"strings"
)

const textPage = `elastipod %[2]s, cluster %[1]s

  API       %[3]s/v1/cluster
  docs      %[3]s/docs
  OpenAPI   %[3]s/openapi.json
  metrics   %[3]s/metrics
  health    %[3]s/healthz  %[3]s/readyz
  command   cloud --server %[3]s pod ls
`

// frontPage says where everything is: to a browser with the dashboard, to others
// as text.
func frontPage(cluster string, dashboard http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Accept")
		if strings.Contains(r.Header.Get("Accept"), "text/html") {
			dashboard.ServeHTTP(w, r)
			return
		}
		base := "http://" + r.Host
		if r.TLS != nil {
			base = "https://" + r.Host
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(w, textPage, cluster, version(), base)
	})
}
