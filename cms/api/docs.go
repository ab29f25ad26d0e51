package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/swaggest/swgui"
	"github.com/swaggest/swgui/v5emb"
)

const (
	securityScheme = "token"
	openAPIType    = "application/openapi+json"
)

const apiDescription = `Elastic pods: groups of identical nodes behind a load balancer that grow and shrink with demand.

- What is read can be written back unchanged: everything that the server adds is under ` + "`status`" + `, which writes ignore.
- Settings hold durations as strings such as ` + "`30s`" + ` and memory as a string with a unit or a number of bytes; measurements are numbers, in seconds, bytes and fractions, and null where nothing was measured. Times are those of RFC 3339.
- PATCH takes a JSON merge patch (RFC 7396).
- What takes long answers 202 with the resource in its new state; ` + "`?wait=30s`" + ` waits until it is done, and then answers 200.
- Errors are problem details (RFC 9457) whose ` + "`detail`" + ` says what to do, with every fault under ` + "`errors`" + `.
`

func (a *API) openAPI() *huma.OpenAPI {
	return &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info:    &huma.Info{Title: "elastipod", Version: a.cfg.Version, Description: apiDescription + a.policyText()},
		Components: &huma.Components{
			Schemas: a.schemas,
			SecuritySchemes: map[string]*huma.SecurityScheme{
				securityScheme: {Type: "http", Scheme: "bearer", Description: "A token of the server. Not asked for where the server has none."},
			},
		},
		Tags: []*huma.Tag{
			{Name: "cluster", Description: "The cluster as a whole"},
			{Name: "pods", Description: "Groups of identical nodes"},
			{Name: "nodes", Description: "Running copies of a pod's workload"},
			{Name: "rollouts", Description: "Changes of what a pod's nodes run"},
			{Name: "elasticity", Description: "Growing and shrinking, and why"},
			{Name: "hosts", Description: "Machines on which nodes run"},
			{Name: "service", Description: "The server itself"},
		},
	}
}

// policyText tells of the policies that this server knows.
func (a *API) policyText() string {
	policies := a.m.Policies()
	if policies == nil {
		return ""
	}
	var b strings.Builder
	b.WriteString("\nPolicies of this server, by `kind`:\n\n")
	for _, k := range policies.Kinds() {
		b.WriteString("- `" + k.Name + "`: " + k.Summary + "\n")
	}
	return b.String()
}

type noInput struct{}

// raw is an answer that is written by hand.
type raw struct {
	Body func(huma.Context)
}

func text() *huma.MediaType { return &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}} }

// handler answers an operation with a handler of net/http.
func handler(h http.Handler) *raw {
	return &raw{Body: func(ctx huma.Context) {
		r, w := humago.Unwrap(ctx)
		h.ServeHTTP(w, r)
	}}
}

func (a *API) docsRoutes() {
	page := v5emb.NewHandlerWithConfig(swgui.Config{
		Title: "elastipod API", SwaggerJSON: "/openapi.json", BasePath: "/docs",
	})
	bounded := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'")
		w.Header().Set("Referrer-Policy", "no-referrer")
		page.ServeHTTP(w, r)
	})
	register(a, route{
		method: http.MethodGet, path: "/docs", id: "docs", tag: "service", summary: "This documentation, to read and to try",
		early: true, stream: text(), streamType: "text/html",
	}, func(context.Context, *noInput) (*raw, error) { return handler(bounded), nil })
	register(a, route{
		method: http.MethodGet, path: "/docs/{file}", id: "docs-file", tag: "service", summary: "A part of the documentation page",
		early: true, stream: &huma.MediaType{Schema: &huma.Schema{}}, streamType: "*/*", errors: []int{http.StatusNotFound},
	}, func(_ context.Context, in *struct {
		File string `path:"file" doc:"The file's name."`
	}) (*raw, error) {
		if !docsFiles(in.File) {
			return nil, newProblem(http.StatusNotFound, "the documentation has no file %.80q; begin at /docs", in.File)
		}
		return handler(bounded), nil
	})
	register(a, route{
		method: http.MethodGet, path: "/openapi.json", id: "openapi", tag: "service", summary: "This API as an OpenAPI 3.1 document",
		early: true, stream: &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}}, streamType: openAPIType,
	}, func(context.Context, *noInput) (*raw, error) {
		return &raw{Body: func(ctx huma.Context) {
			ctx.SetHeader("Content-Type", openAPIType)
			_, _ = ctx.BodyWriter().Write(a.doc()) // the client may have gone
		}}, nil
	})
}

// docsFiles says whether the documentation page has a file of that name.
func docsFiles(name string) bool {
	switch name {
	case "swagger-ui.css", "swagger-ui-bundle.js", "swagger-ui-standalone-preset.js", "favicon-16x16.png", "favicon-32x32.png", "oauth2-redirect.html":
		return true
	}
	return false
}

func (a *API) serviceRoutes() {
	register(a, route{
		method: http.MethodGet, path: "/healthz", id: "healthz", tag: "service", summary: "Whether the server lives", early: true,
	}, func(context.Context, *noInput) (*output[health], error) {
		return answer(http.StatusOK, health{Status: "ok"}), nil
	})
	register(a, route{
		method: http.MethodGet, path: "/readyz", id: "readyz", tag: "service", summary: "Whether the server serves", early: true,
		description: "503 while the manager is loading its state, and when the server says that it cannot serve.",
		errors:      []int{http.StatusServiceUnavailable},
	}, func(context.Context, *noInput) (*output[health], error) {
		select {
		case <-a.m.Ready():
		default:
			return nil, notReady()
		}
		if err := a.cfg.Ready(); err != nil {
			p, _ := told(err)
			return nil, newProblem(http.StatusServiceUnavailable, "not ready: %s", p.detail).header("Retry-After", retrySoon)
		}
		return answer(http.StatusOK, health{Status: "ok"}), nil
	})
	register(a, route{
		method: http.MethodGet, path: "/metrics", id: "metrics", tag: "service", summary: "Metrics for Prometheus", role: Viewer, early: true,
		errors: []int{http.StatusNotFound}, stream: text(), streamType: "text/plain",
	}, func(context.Context, *noInput) (*raw, error) {
		if a.cfg.Metrics == nil {
			return nil, newProblem(http.StatusNotFound, "this server exports no metrics; switch them on in its configuration")
		}
		return handler(a.cfg.Metrics), nil
	})
}
