package api

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/elastipod/elastipod/cms/wire"
)

// route describes an operation: what is special about it, for the server and for
// the OpenAPI document.
type route struct {
	method, path         string
	id, tag              string
	summary, description string
	role                 Role         // the least role; "" lets everybody in
	early                bool         // also answers while the manager is starting
	statuses             []int        // of success, the usual one first; default 200
	errors               []int        // besides those that every operation may answer with
	body                 *huma.Schema // of the request; nil: none is read
	bodyOptional         bool
	upload               string          // media type of a body that the operation reads by itself
	stream               *huma.MediaType // of the answer, where it is no JSON
	streamType           string
}

// recorder is a mux that remembers what was registered.
type recorder struct {
	*http.ServeMux
	patterns []string
}

func (m *recorder) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	m.patterns = append(m.patterns, pattern)
	m.ServeMux.HandleFunc(pattern, h)
}

func (a *API) routes() http.Handler {
	mux := &recorder{ServeMux: http.NewServeMux()}
	a.schemas = newRegistry()
	a.huma = humago.New(mux, huma.Config{
		OpenAPI:                      a.openAPI(),
		Formats:                      map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{transform},
	})
	a.clusterRoutes()
	a.whoamiRoutes()
	a.podRoutes()
	a.nodeRoutes()
	a.rolloutRoutes()
	a.elasticityRoutes()
	a.policyRoutes()
	a.historyRoutes()
	a.hostRoutes()
	a.eventRoutes()
	a.serviceRoutes()
	a.reloadRoute()
	a.backupRoutes()
	a.webhookRoutes()
	a.docsRoutes()
	a.served = mux.patterns
	a.doc = sync.OnceValue(func() []byte { return mustJSON(a.huma.OpenAPI()) })
	a.auditNames = sync.OnceValue(func() auditNames { return newAuditNames(a.schemas) })
	return a.patiently(a.traced(mux.ServeMux, a.audited(a.guard(mux.ServeMux, plainPaths(mux.patterns)))))
}

// plainPaths returns the paths without parameters, for hints.
func plainPaths(patterns []string) []string {
	var out []string
	for _, p := range patterns {
		_, path, _ := strings.Cut(p, " ")
		if !strings.Contains(path, "{") {
			out = append(out, path)
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(out)))
}

// register adds an operation. Errors of h become problems.
func register[I, O any](a *API, r route, h func(context.Context, *I) (*O, error)) {
	if len(r.statuses) == 0 {
		r.statuses = []int{http.StatusOK}
	}
	op := huma.Operation{
		Method: r.method, Path: r.path, OperationID: r.id, Tags: []string{r.tag},
		Summary: r.summary, Description: r.description,
		DefaultStatus:                r.statuses[0],
		RejectUnknownQueryParameters: true,
		Errors:                       r.allErrors(),
		Responses:                    map[string]*huma.Response{},
		Security:                     []map[string][]string{},
	}
	if isWrite(r.method) || r.path == backupPath {
		op.Middlewares = append(op.Middlewares, auditRoute)
	}
	if a.cfg.TracerProvider != nil {
		op.Middlewares = append(op.Middlewares, traceNames)
	}
	if r.role != "" {
		op.Middlewares = append(op.Middlewares, a.authorize(r.role))
		op.Security = []map[string][]string{{securityScheme: {}}}
		op.Description = strings.TrimSpace(op.Description + "\n\nNeeds the role " + string(r.role) + ".")
	}
	if r.role != "" && !r.early {
		op.Middlewares = append(op.Middlewares, a.whenReady)
	}
	if r.readsBody() {
		op.Middlewares = append(op.Middlewares, a.readBody(r))
	}
	if r.upload != "" {
		op.Middlewares = append(op.Middlewares, a.openUpload(r.upload))
	}
	if r.stream != nil {
		op.Responses[strconv.Itoa(r.statuses[0])] = &huma.Response{
			Description: http.StatusText(r.statuses[0]), Content: map[string]*huma.MediaType{r.streamType: r.stream},
		}
	}
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := h(ctx, in)
		a.logWrite(ctx, r, err)
		if err != nil {
			return nil, a.problemOf(ctx, err)
		}
		return out, nil
	})
	described := operationAt(a.huma.OpenAPI(), r.method, r.path)
	described.RequestBody = r.requestBody()
	for _, status := range r.statuses[1:] { // huma describes the usual one only
		usual := *described.Responses[strconv.Itoa(r.statuses[0])]
		usual.Description = http.StatusText(status)
		described.Responses[strconv.Itoa(status)] = &usual
	}
}

func operationAt(doc *huma.OpenAPI, method, path string) *huma.Operation {
	item := doc.Paths[path]
	if item == nil {
		return nil
	}
	return map[string]*huma.Operation{
		http.MethodGet: item.Get, http.MethodPost: item.Post, http.MethodPut: item.Put, http.MethodPatch: item.Patch, http.MethodDelete: item.Delete,
	}[method]
}

// logWrite leaves a line for each change that somebody asked for.
func (a *API) logWrite(ctx context.Context, r route, err error) {
	if r.method == http.MethodGet && r.path != backupPath || a.cfg.Audit != nil {
		return
	}
	if err != nil {
		a.log.InfoContext(ctx, "refused", "operation", r.id, "by", callerOf(ctx), "request", auditOf(ctx).id, "error", err)
		return
	}
	a.log.InfoContext(ctx, "done", "operation", r.id, "by", callerOf(ctx), "request", auditOf(ctx).id)
}

func (r route) allErrors() []int {
	all := slices.Clone(r.errors)
	all = append(all, http.StatusForbidden, http.StatusMisdirectedRequest, http.StatusInternalServerError)
	if r.role != "" {
		all = append(all, http.StatusUnauthorized, http.StatusTooManyRequests, http.StatusServiceUnavailable)
	}
	if isWrite(r.method) {
		all = append(all, http.StatusInsufficientStorage)
	}
	if r.readsBody() {
		all = append(all, http.StatusBadRequest, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge)
	}
	if r.body != nil {
		all = append(all, http.StatusUnsupportedMediaType)
	}
	all = append(all, http.StatusUnprocessableEntity) // at least an unknown parameter
	slices.Sort(all)
	return slices.Compact(all)
}

// readsBody says that a body is read before the operation begins, if only to refuse
// it.
func (r route) readsBody() bool { return r.body != nil || isWrite(r.method) && r.upload == "" }

// requestBody describes a body, which we read ourselves.
func (r route) requestBody() *huma.RequestBody {
	switch {
	case r.upload != "":
		return &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{r.upload: {Schema: binary()}}}
	case r.body == nil:
		return nil
	}
	content := map[string]*huma.MediaType{"application/json": {Schema: r.body}}
	if r.method == http.MethodPatch {
		content["application/merge-patch+json"] = &huma.MediaType{Schema: r.body}
	}
	return &huma.RequestBody{Required: !r.bodyOptional, Content: content}
}

// patchSchema describes a merge patch of T: any part of it, null to leave a
// field out.
func patchSchema[T any](a *API) *huma.Schema {
	full := schemaOf[T](a.schemas)
	return &huma.Schema{
		Type:                 huma.TypeObject,
		AdditionalProperties: true,
		Description: "A JSON merge patch (RFC 7396): the fields to change, null for a field to leave out. The result is checked as a whole, as " +
			strings.TrimPrefix(full.Ref, "#/components/schemas/") + ".",
	}
}

// output is the answer of most operations.
type output[T any] struct {
	Status int
	Body   T
}

func answer[T any](status int, body T) *output[T] { return &output[T]{Status: status, Body: body} }

// created is the answer of what makes something.
type created[T any] struct {
	Location string `header:"Location"`
	Body     T
}

// Parameters that several operations have stand in each: huma sees embedded
// structs only where their type is exported.

// pageParams are the parameters of lists.
type pageParams struct {
	Limit int    `query:"limit" minimum:"1" maximum:"10000" doc:"The most items in the answer. Default: all."`
	After string `query:"after" maxLength:"400" doc:"The next of the previous answer."`
}

// page returns the part of a list that was asked for, sorted by key.
func page[T any](limit int, after string, all []T, key func(T) string) wire.List[T] {
	slices.SortStableFunc(all, func(x, y T) int { return strings.Compare(key(x), key(y)) })
	begin := 0
	if after != "" {
		begin = len(all)
		if i := slices.IndexFunc(all, func(x T) bool { return key(x) > after }); i >= 0 {
			begin = i
		}
	}
	out := wire.List[T]{Items: notNil(all[begin:])}
	if limit > 0 && len(out.Items) > limit {
		out.Items = out.Items[:limit]
		out.Next = key(out.Items[limit-1])
	}
	return out
}

func mustJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own types
	}
	return data
}
