package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/pod"
)

// problem is an error with the status and the words that a client gets. It is
// written as a [wire.Problem].
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

func (p *problem) wire(path string) wire.Problem {
	return wire.Problem{
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
	more := len(faults) - maxFaults
	faults = faults[:min(len(faults), maxFaults)] // an answer is not larger than what it answers
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

const retrySoon = "2" // seconds

// problemOf turns an error of the manager into what a client gets.
func (a *API) problemOf(ctx context.Context, err error) *problem {
	var p *problem
	var faults cms.Faults
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &faults):
		return invalid(faults)
	case errors.Is(err, cms.ErrExists), errors.Is(err, cms.ErrConflict), errors.Is(err, pod.ErrForeign),
		errors.Is(err, pod.ErrUnsupported), errors.Is(err, balancer.ErrAddressInUse):
		return newProblem(http.StatusConflict, "%s", err.Error()) // also where it wraps that something is gone
	case errors.Is(err, cms.ErrNotFound), errors.Is(err, pod.ErrNotFound):
		return newProblem(http.StatusNotFound, "%s", err.Error())
	case errors.Is(err, pod.ErrImage), errors.Is(err, pod.ErrImageDenied), errors.Is(err, pod.ErrImageElsewhere):
		return newProblem(http.StatusUnprocessableEntity, "%s", err.Error())
	case errors.Is(err, cms.ErrNotRunning):
		return newProblem(http.StatusServiceUnavailable, "%s; try again in a moment", err.Error()).header("Retry-After", retrySoon)
	case errors.Is(err, cms.ErrStoreFull):
		return newProblem(http.StatusInsufficientStorage, "%s, then try again", err.Error()).header("Retry-After", retrySoon)
	case errors.Is(err, errRevoked):
		return newProblem(http.StatusUnauthorized, "%s while the request came in; use another", err.Error())
	case errors.Is(err, errStreams):
		return newProblem(http.StatusServiceUnavailable, "%s; end some, or try again later", err.Error()).header("Retry-After", retrySoon)
	case errors.Is(err, errClosing):
		return newProblem(http.StatusServiceUnavailable, "%s; try again once it is back", err.Error()).header("Retry-After", retrySoon)
	case errors.Is(err, pod.ErrRegistry):
		return newProblem(http.StatusServiceUnavailable, "%s; try again later", err.Error()).header("Retry-After", retrySoon)
	case errors.Is(err, pod.ErrUnreachable), errors.Is(err, balancer.ErrUnavailable):
		return newProblem(http.StatusServiceUnavailable, "%s; see that it runs, then try again", err.Error()).header("Retry-After", retrySoon)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return newProblem(http.StatusServiceUnavailable, "%s; it was not done in time, try again", err.Error()).header("Retry-After", retrySoon)
	}
	a.log.ErrorContext(ctx, "request failed", "error", err)
	return newProblem(http.StatusInternalServerError, "the server failed: %s", err.Error())
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
		allowed := e.Message
		if right, ok := strings.CutPrefix(e.Message, "expected "); ok {
			allowed = "use " + right
		}
		f.Add(name, allowed, "%.80q is no good %s parameter", fmt.Sprint(e.Value), place)
	}
	p := invalid(f)
	p.status = m.Status
	return p
}
