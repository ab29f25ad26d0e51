package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// AuditEntry is one write: somebody's wish to change something, and what became
// of it. Taking a backup counts as one. It holds no secret and no value of an
// environment variable, whatever was sent: names are told, and of values only
// switches, numbers and durations.
type AuditEntry struct {
	// At is when the request came.
	At time.Time `json:"at"`
	// RequestID is that of the answer's header X-Request-Id; the server makes it.
	RequestID string `json:"request_id,omitempty"`
	// Source is "api", or what in the server wrote by itself, such as "start" for
	// the pods of its configuration and "reload" for a configuration read anew.
	Source string `json:"source"`
	// Who is the name of the token, "local" where the API has no tokens, and ""
	// where the request had none that is known.
	Who string `json:"who"`
	// Role is that of the token.
	Role Role `json:"role,omitempty"`
	// Remote is the address that the connection came from. Headers such as
	// X-Forwarded-For are not believed, so behind a reverse proxy it is the proxy's.
	Remote string `json:"remote,omitempty"`
	// Method, Route and Operation say what was asked for: the template of the
	// path, such as /v1/pods/{pod}, and the id of the operation in the OpenAPI
	// document. Both are empty where there is no such path.
	Method    string `json:"method,omitempty"`
	Route     string `json:"route,omitempty"`
	Operation string `json:"operation,omitempty"`
	// Params are the values of the path's parameters, Query those of the query. A
	// value that is no name, number, switch or duration is "?".
	Params map[string]string `json:"params,omitempty"`
	Query  map[string]string `json:"query,omitempty"`
	// Fields are the fields that the body set, with their dotted paths: to a
	// switch, a number or a duration where it is one, to "removed", to "3 items"
	// for a list, and to "set" for whatever else.
	Fields map[string]string `json:"fields,omitempty"`
	// Result sums Status up.
	Result AuditResult `json:"result"`
	// Status is that of the answer; 0 where there was none.
	Status int `json:"status,omitempty"`
	// Error is the title of a Status of 4xx or 5xx, and which fields were wrong:
	// "Unprocessable Entity: policy.lower".
	Error string `json:"error,omitempty"`
	// Aborted says that the client had gone before it was answered.
	Aborted bool `json:"aborted,omitempty"`
	// Seconds is how long the answer took.
	Seconds float64 `json:"seconds"`
}

// AuditResult is what became of a write.
type AuditResult string

// The results.
const (
	AuditDone    AuditResult = "done"    // or begun: status 202
	AuditRefused AuditResult = "refused" // status 4xx: nothing was changed
	AuditFailed  AuditResult = "failed"  // status 5xx: it may have been changed in part
	AuditAborted AuditResult = "aborted" // not answered: it may have been changed
)

const (
	auditSource   = "api"
	auditLocal    = "local"
	requestHeader = "X-Request-Id"
)

// auditRecord is what is found out of a write while it is answered, all of it on
// the goroutine that answers.
type auditRecord struct {
	id     string
	at     time.Time
	who    string
	role   Role
	op     *huma.Operation
	params map[string]string
	query  map[string]string
	body   []byte
	found  *problem
}

type auditKey struct{}

// auditOf returns the record of a write; nil of a read.
func auditOf(ctx context.Context) *auditRecord {
	e, _ := ctx.Value(auditKey{}).(*auditRecord)
	return e
}

// isWrite says whether a request may change something.
func isWrite(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return false
	}
	return true
}

// audited gives every write an id, and tells Config.Audit of it exactly once
// when it is over, also of one that no route was found for, that panicked or
// whose client has gone.
func (a *API) audited(next answering) answering {
	return func(w *patient, r *http.Request) {
		if !isWrite(r.Method) && r.URL.Path != backupPath { // which gives all secrets of workloads away
			next(w, r)
			return
		}
		e := &auditRecord{id: requestID(), at: time.Now()}
		if len(a.access.Load().tokens) == 0 {
			e.who = auditLocal
		}
		w.Header().Set(requestHeader, e.id)
		r = r.WithContext(context.WithValue(r.Context(), auditKey{}, e))
		returned := false
		defer func() { a.tellAudit(r, e, w.status, returned) }()
		next(w, r)
		returned = true
	}
}

func requestID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func (a *API) tellAudit(r *http.Request, e *auditRecord, status int, returned bool) {
	if a.cfg.Audit == nil {
		return
	}
	out := AuditEntry{
		At: e.at, RequestID: e.id, Source: auditSource, Who: e.who, Role: e.role, Remote: r.RemoteAddr, Method: auditMethod(r.Method),
		Params: e.params, Query: e.query, Status: status, Aborted: r.Context().Err() != nil, Seconds: time.Since(e.at).Seconds(),
	}
	if e.op != nil {
		out.Route, out.Operation = e.op.Path, e.op.OperationID
	}
	if returned && out.Status == 0 {
		out.Status = http.StatusOK // what the server makes of silence
	}
	switch {
	case !returned, out.Aborted && out.Status >= http.StatusInternalServerError:
		out.Result = AuditAborted
	case out.Status >= http.StatusInternalServerError:
		out.Result = AuditFailed
	case out.Status >= http.StatusBadRequest:
		out.Result = AuditRefused
	default:
		out.Result = AuditDone
	}
	object, _ := parseObject(e.body)
	n := a.auditNames()
	out.Fields = n.summary(object)
	if e.found != nil && out.Status >= http.StatusBadRequest {
		out.Error = n.reason(e.found, out.Status)
	}
	a.cfg.Audit(out)
}

// auditMethod keeps what a client made up out of the log.
func auditMethod(method string) string {
	switch method {
	case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodConnect, http.MethodGet:
		return method
	}
	return "?"
}

// auditRoute notes which operation a write is, before it may be refused.
func auditRoute(ctx huma.Context, next func(huma.Context)) {
	if e := auditOf(ctx.Context()); e != nil {
		e.op = ctx.Operation()
		e.params, e.query = map[string]string{}, map[string]string{}
		for _, p := range e.op.Parameters {
			switch p.In {
			case "path":
				e.params[p.Name] = auditName(ctx.Param(p.Name))
			case "query":
				if v := ctx.Query(p.Name); v != "" {
					e.query[p.Name] = auditText(v, "?")
				}
			}
		}
	}
	next(ctx)
}

// noteCaller, noteBody and noteProblem add to the record of a write, and do
// nothing for a read.
func noteCaller(ctx context.Context, t tokenHash) {
	if e := auditOf(ctx); e != nil {
		e.who, e.role = t.name, t.role
	}
}

func noteBody(ctx context.Context, data []byte) {
	if e := auditOf(ctx); e != nil {
		e.body = data
	}
}

func noteProblem(ctx context.Context, p *problem) {
	if e := auditOf(ctx); e != nil {
		e.found = p
	}
}
