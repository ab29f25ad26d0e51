package serve

import (
	"fmt"
	"html/template"
	"net/http"
	"strings"
)

// page is what "/" shows.
type page struct {
	Cluster, Version, Base string
	Tokens                 bool
}

const textPage = `elastipod %[2]s, cluster %[1]s

  API       %[3]s/v1/cluster
  docs      %[3]s/docs
  OpenAPI   %[3]s/openapi.json
  metrics   %[3]s/metrics
  health    %[3]s/healthz  %[3]s/readyz
  command   cloud --server %[3]s pod ls
`

const htmlPage = `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{.Cluster}} · elastipod</title>
<style>
body{font:16px/1.6 system-ui,sans-serif;max-width:40rem;margin:10vh auto;padding:0 1.5rem;color:#1c2430;background:#fbfcfd}
h1{font-size:1.5rem;margin:0}p{color:#5b6675;margin:.2rem 0 2rem}dl{display:grid;grid-template-columns:7rem 1fr;gap:.4rem 1rem}
dt{color:#5b6675}dd{margin:0}a{color:#0b62c4}code{background:#eef2f6;padding:.1rem .35rem;border-radius:.25rem}
@media(prefers-color-scheme:dark){body{color:#dfe5ec;background:#12161b}p,dt{color:#93a0af}a{color:#6fb1ff}code{background:#222932}}
</style>
<h1>{{.Cluster}}</h1><p>elastipod {{.Version}}</p>
<dl>
<dt>API</dt><dd><a href="/v1/cluster">/v1/cluster</a></dd>
<dt>Docs</dt><dd><a href="/docs">/docs</a> and <a href="/openapi.json">/openapi.json</a></dd>
<dt>Metrics</dt><dd><a href="/metrics">/metrics</a></dd>
<dt>Health</dt><dd><a href="/healthz">/healthz</a>, <a href="/readyz">/readyz</a></dd>
<dt>Command</dt><dd><code>cloud --server {{.Base}} pod ls</code></dd>
{{if .Tokens}}<dt>Access</dt><dd>with a token, in <code>CLOUD_TOKEN</code></dd>{{end}}
</dl></html>
`

// frontPage says where everything is: to a browser as HTML, to others as text.
func frontPage(cluster string, tokens bool) http.Handler {
	html := template.Must(template.New("page").Parse(htmlPage))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := page{Cluster: cluster, Version: version(), Base: "http://" + r.Host, Tokens: tokens}
		if r.TLS != nil {
			p.Base = "https://" + r.Host
		}
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Vary", "Accept")
		if !strings.Contains(r.Header.Get("Accept"), "text/html") {
			h.Set("Content-Type", "text/plain; charset=utf-8")
			fmt.Fprintf(w, textPage, p.Cluster, p.Version, p.Base)
			return
		}
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
		_ = html.Execute(w, p)
	})
}
