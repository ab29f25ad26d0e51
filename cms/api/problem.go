package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/internal/strict"
	"github.com/elastipod/elastipod/pod"
)

// problem is an error with the status and the words that a client gets. It is
// written as [wire.ProblemDetails].
type problem struct {
	status  int
	detail  string
	faults  []wire.Fault
	headers http.Header
}

func newProblem(status int, detail string, args ...any) *problem {
	if len(args) > 0 {
		detail = fmt.Sprintf(detail, args...)
	}
	return &problem{status: status, detail: detail}
}

// Error returns the detail.
func (p *problem) Error() string { return p.detail }

// GetStatus returns the HTTP status.
func (p *problem) GetStatus() int { return p.status }

// GetHeaders returns what goes into the head of the answer.
func (p *problem) GetHeaders() http.Header { return p.headers }

// ContentType returns the media type of problems.
func (p *problem) ContentType(string) string { return wire.ProblemType }

func (p *problem) header(name, value string) *problem {
	if p.headers == nil {
		p.headers = http.Header{}
	}
	p.headers.Set(name, value)
	return p
}

func (p *problem) wire(path string) wire.ProblemDetails {
	return wire.ProblemDetails{
		Title:    http.StatusText(p.status),
		Status:   p.status,
		Detail:   p.detail,
		Instance: path,
		Errors:   p.faults,
	}
}

// write is for answers that no operation gives.
func (p *problem) write(w http.ResponseWriter, r *http.Request) {
	noteProblem(r.Context(), p)
	for name, values := range p.headers {
		w.Header()[name] = values
	}
	body, err := json.Marshal(p.wire(r.URL.Path))
	if err != nil { // it holds strings and numbers only
		body = []byte("{}")
	}
	h := w.Header()
	h.Set("Content-Type", wire.ProblemType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(p.status)
	_, _ = w.Write(append(body, '\n')) // the client may have gone
}

// invalid is the answer to what cannot be accepted as it is.
func invalid(faults cms.Faults) *problem {
	p := &problem{status: http.StatusUnprocessableEntity}
	more := len(faults) - strict.MaxFaults
	faults = faults[:min(len(faults), strict.MaxFaults)] // an answer is not larger than what it answers
	lines := make([]string, 0, len(faults)+1)
	for _, f := range faults {
		p.faults = append(p.faults, wire.Fault{Path: f.Path, Problem: f.Problem, Allowed: f.Allowed})
		lines = append(lines, f.String())
	}
	if more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	p.detail = strings.Join(lines, " | ")
	return p
}

func invalidField(path, allowed, text string, args ...any) *problem {
	var f cms.Faults
	f.Add(path, allowed, text, args...)
	return invalid(f)
}

// noSuch says that there is no thing of a name, which name may have been meant, and
// where all of them are listed.
func noSuch(text, name string, names []string, list string) *problem {
	hint := ""
	if near := strict.Nearest(name, names); near != "" {
		hint = fmt.Sprintf("; did you mean %q?", near)
	}
	return newProblem(http.StatusNotFound, "%s %.80q%s; GET %s lists them", text, name, hint, list)
}

const retrySoon = "2" // seconds

// kinds are the kinds of errors that may reach a client: the status of each, and
// what is said of one that brings no words of its own. The first that
// [errors.Is] finds counts.
var kinds = []struct {
	err    error
	status int
	text   string
	retry  bool
}{
	{cms.ErrExists, http.StatusConflict, "something of that name exists already; choose another name", false},
	{cms.ErrConflict, http.StatusConflict, "the pod or host is in a state that does not allow this; look at it, then try again", false},
	{pod.ErrForeign, http.StatusConflict, "the host belongs to another manager; GET /v1/hosts says which", false},
	{pod.ErrUnsupported, http.StatusConflict, "the engine of the host cannot do this", false},
	{balancer.ErrAddressInUse, http.StatusConflict, "another program listens on the address of a front; choose another address", false},
	{cms.ErrNotFound, http.StatusNotFound, "it does not exist, or not any more", false},
	{pod.ErrNotFound, http.StatusNotFound, "it does not exist, or not any more", false},
	{pod.ErrImage, http.StatusUnprocessableEntity, "the image or program does not exist; correct its name", false},
	{pod.ErrImageDenied, http.StatusUnprocessableEntity, "the registry denies access to the image; give its credentials, or correct its name", false},
	{pod.ErrImageElsewhere, http.StatusUnprocessableEntity, "the host lacks the image, which is in no registry; push it to one, or load it on this host", false},
	{pod.ErrRegistry, http.StatusServiceUnavailable, "the registry did not deliver the image; try again in a moment", true},
	{cms.ErrBalancer, http.StatusServiceUnavailable, "the balancer failed; see that it runs, then try again", true},
	{cms.ErrNotRunning, http.StatusServiceUnavailable, "the manager is not running; try again in a moment", true},
	{cms.ErrStoreFull, http.StatusInsufficientStorage, "the disk of the server's store is full, so nothing was changed; make room there, then try again", true},
	{cms.ErrUnsaved, http.StatusServiceUnavailable, "nothing can be saved, so nothing was changed; the server's log says why", true},
	{pod.ErrUnreachable, http.StatusServiceUnavailable, "the host does not answer; see that it runs, then try again", true},
	{balancer.ErrUnavailable, http.StatusServiceUnavailable, "the balancer does not answer; see that it runs, then try again", true},
	{context.DeadlineExceeded, http.StatusServiceUnavailable, "it was not done in time; try again", true},
	{context.Canceled, http.StatusServiceUnavailable, "it was broken off before it was done; try again", true},
}

// problemOf turns an error into what a client gets. An error that brings no words
// of its own goes to the log.
func (a *API) problemOf(ctx context.Context, err error) *problem {
	p, whole := told(err)
	switch {
	case whole:
	case p.status == http.StatusInternalServerError:
		a.logHidden(ctx, slog.LevelError, err)
	case ctx.Err() == nil:
		a.logHidden(ctx, slog.LevelWarn, err)
	}
	return p
}

// told says an error to a client: a [cms.Refusal] in its own words, another error
// in a sentence of ours. whole says that the client is told all of it.
func told(err error) (p *problem, whole bool) {
	var faults cms.Faults
	var refusal *cms.Refusal
	switch {
	case errors.As(err, &p):
		return p, true
	case errors.As(err, &faults):
		return invalid(faults), true
	}
	p = newProblem(http.StatusInternalServerError, "the server failed; its log says more")
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			p = newProblem(k.status, "%s", k.text)
			if k.retry {
				p.header("Retry-After", retrySoon)
			}
			break
		}
	}
	if errors.As(err, &refusal) {
		p.detail, whole = refusal.Text, true
	}
	return p, whole
}

// logHidden logs an error that the client does not see, and which write it was.
func (a *API) logHidden(ctx context.Context, level slog.Level, err error) {
	log := a.log
	if write := auditOf(ctx); write != nil {
		log = log.With("request", write.id)
	}
	log.Log(ctx, level, "request failed", "error", err)
}

// transform makes problems of what huma itself found, and writes problems as
// they are on the wire.
func transform(ctx huma.Context, _ string, v any) (any, error) {
	switch x := v.(type) {
	case *problem:
		u := ctx.URL()
		noteProblem(ctx.Context(), x)
		return x.wire(u.Path), nil
	case *huma.ErrorModel:
		u := ctx.URL()
		p := parameterProblem(x)
		noteProblem(ctx.Context(), p)
		return p.wire(u.Path), nil
	}
	return v, nil
}

// parameterProblem puts what huma says about parameters into our words.
func parameterProblem(m *huma.ErrorModel) *problem {
	if len(m.Errors) == 0 {
		return newProblem(m.Status, "%s", m.Detail)
	}
	var f cms.Faults
	for _, e := range m.Errors {
		place, name, _ := strings.Cut(e.Location, ".")
		if e.Message == "unknown query parameter" {
			f.Add(name, "leave it out", "is not a query parameter here")
			continue
		}
		allowed := strings.TrimPrefix(e.Message, "invalid value: ")
		switch right, expected := strings.CutPrefix(e.Message, "expected "); {
		case expected:
			allowed = "use " + right
		case e.Message == "invalid integer":
			allowed = "use a whole number"
		case e.Message == "invalid boolean":
			allowed = "use true or false"
		}
		f.Add(name, allowed, "%.80q is no good %s parameter", fmt.Sprint(e.Value), place)
	}
	p := invalid(f)
	p.status = m.Status
	return p
}
