package api

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/elastipod/elastipod/pod"
)

// tracerName is the instrumentation scope of the spans.
const tracerName = "github.com/elastipod/elastipod/cms/api"

const requestIDKey = attribute.Key("elastipod.request_id")

// untraced are asked every few seconds by machines, and say nothing new.
var untraced = []string{"/healthz", "/readyz", "/metrics"}

// traced gives each request a span, below that of the traceparent header, and
// its handler a context in which it is. The names are those of OpenTelemetry's
// semantic conventions; of the path only the template is told, and of the token
// only its name and role.
func (a *API) traced(mux *http.ServeMux, next answering) answering {
	if a.cfg.TracerProvider == nil {
		return next
	}
	tracer := a.cfg.TracerProvider.Tracer(tracerName, trace.WithSchemaURL(semconv.SchemaURL), trace.WithInstrumentationVersion(a.cfg.Version))
	return func(w *patient, r *http.Request) {
		_, pattern := mux.Handler(r)
		_, path, _ := strings.Cut(pattern, " ")
		if slices.Contains(untraced, path) {
			next(w, r)
			return
		}
		ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		name, attrs := spanOf(r, path)
		ctx, span := tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attrs...))
		returned := false
		defer func() {
			w.describe(ctx, span, returned)
			span.End()
		}()
		next(w, r.WithContext(ctx))
		returned = true
	}
}

// spanOf returns the name and the attributes of a request's span; path is the
// template, empty where there is none.
func spanOf(r *http.Request, path string) (string, []attribute.KeyValue) {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	version := strconv.Itoa(r.ProtoMajor)
	if r.ProtoMajor < 2 {
		version += "." + strconv.Itoa(r.ProtoMinor)
	}
	attrs := []attribute.KeyValue{semconv.URLScheme(scheme), semconv.NetworkProtocolVersion(version)}
	name := r.Method
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, http.MethodTrace, http.MethodConnect:
		attrs = append(attrs, semconv.HTTPRequestMethodKey.String(r.Method))
	default:
		name = "HTTP"
		attrs = append(attrs, semconv.HTTPRequestMethodOther)
	}
	if path != "" {
		name += " " + path
		attrs = append(attrs, semconv.HTTPRoute(path))
	}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		attrs = append(attrs, semconv.ClientAddress(host))
	}
	if addr, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		attrs = append(attrs, semconv.ServerAddress(addr.IP.String()), semconv.ServerPort(addr.Port))
	}
	if agent := r.UserAgent(); agent != "" {
		attrs = append(attrs, semconv.UserAgentOriginal(agent[:min(len(agent), 200)]))
	}
	return name, attrs
}

// traceNames notes which pod, node and host a request is about.
func traceNames(ctx huma.Context, next func(huma.Context)) {
	if span := trace.SpanFromContext(ctx.Context()); span.IsRecording() {
		for _, what := range []string{"pod", "node", "host"} {
			if name := ctx.Param(what); pod.ValidName(name) {
				span.SetAttributes(attribute.String("elastipod."+what, name))
			}
		}
	}
	next(ctx)
}

// traceCaller notes whose token a request came with.
func (a *API) traceCaller(ctx context.Context, token tokenHash) {
	if a.cfg.TracerProvider == nil || token.name == "" {
		return
	}
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.SetAttributes(semconv.UserName(token.name), semconv.UserRoles(string(token.role)))
	}
}

// describe says how a request was answered. That the client was wrong is no
// error of the server's span.
func (w *patient) describe(ctx context.Context, span trace.Span, returned bool) {
	if !span.IsRecording() {
		return
	}
	if id := w.Header().Get(requestHeader); id != "" {
		span.SetAttributes(requestIDKey.String(id))
	}
	if w.status != 0 {
		span.SetAttributes(semconv.HTTPResponseStatusCode(w.status))
	}
	switch {
	case w.status >= http.StatusInternalServerError:
		span.SetAttributes(semconv.ErrorTypeKey.String(strconv.Itoa(w.status)))
		span.SetStatus(codes.Error, http.StatusText(w.status))
	case errors.Is(ctx.Err(), context.Canceled):
		span.SetAttributes(semconv.ErrorTypeKey.String("client_gone"))
	case !returned:
		span.SetAttributes(semconv.ErrorTypeKey.String("aborted"))
		span.SetStatus(codes.Error, "the answer was broken off")
	}
}
