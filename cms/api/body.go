package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/elastipod/elastipod/internal/strict"
)

type bodyKey struct{}

// bodyOf returns the body that readBody put aside; nil when there was none.
func bodyOf(ctx context.Context) []byte {
	data, _ := ctx.Value(bodyKey{}).([]byte)
	return data
}

// readBody reads the body of a request, bounded in size and time, before the
// operation begins. The time bound ends with the body, so that an operation may
// wait for longer. A body that the operation does not take is refused: what it asks
// for would not happen.
func (a *API) readBody(takes route) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		r, w := humago.Unwrap(ctx)
		data, p := a.readAll(w, r)
		text := string(bytes.TrimSpace(data))
		switch {
		case p != nil:
		case takes.body == nil && text != "" && text != "{}":
			p = newProblem(http.StatusBadRequest, "the request has a body, and this operation takes none; leave it out")
		case takes.body != nil && !takes.bodyOptional && text == "":
			p = newProblem(http.StatusBadRequest, "the request has no body; send a JSON object")
		case takes.body != nil && len(data) > 0:
			p = checkMediaType(r)
		}
		if p != nil {
			p.write(w, r)
			return
		}
		noteBody(ctx.Context(), data)
		next(huma.WithValue(ctx, bodyKey{}, data))
	}
}

func (a *API) readAll(w http.ResponseWriter, r *http.Request) ([]byte, *problem) {
	most := a.cfg.MaxBodyBytes
	tooLarge := newProblem(http.StatusRequestEntityTooLarge, "the body is too large; send at most %d bytes", most).header("Connection", "close")
	if r.ContentLength > most {
		return nil, tooLarge
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	var over *http.MaxBytesError
	switch {
	case err == nil:
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // see boundBody
		return data, nil
	case errors.As(err, &over):
		return nil, tooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, newProblem(http.StatusRequestTimeout, "the body did not come within %s; send it faster", a.cfg.ReadTimeout).header("Connection", "close")
	}
	return nil, newProblem(http.StatusBadRequest, "the body broke off; send it anew").header("Connection", "close")
}

// boundBody bounds the time for a body, also for one that nobody reads: the
// server itself reads what is left of it at the end.
func (a *API) boundBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(a.cfg.ReadTimeout)) // not supported by writers of tests
	}
}

func checkMediaType(r *http.Request) *problem {
	allowed := []string{"application/json"}
	if r.Method == http.MethodPatch {
		allowed = append(allowed, "application/merge-patch+json")
	}
	use := "send JSON with the header Content-Type: " + strings.Join(allowed, " or ")
	given := r.Header.Get("Content-Type")
	media, params, err := mime.ParseMediaType(given)
	if err != nil || !slices.Contains(allowed, media) {
		return newProblem(http.StatusUnsupportedMediaType, "the Content-Type %.80q is not read here; %s", given, use)
	}
	if set := params["charset"]; set != "" && !strings.EqualFold(set, "utf-8") {
		return newProblem(http.StatusUnsupportedMediaType, "the charset %.40q is not read here; send UTF-8", set)
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return newProblem(http.StatusUnsupportedMediaType, "the Content-Encoding %.40q is not read here; send the body as it is", e)
	}
	return nil
}

// parseObject reads one JSON object and nothing after it.
func parseObject(data []byte) (map[string]any, *problem) {
	v, err := strict.ParseJSON(data)
	var wrong *strict.SyntaxError
	if errors.As(err, &wrong) {
		return nil, newProblem(http.StatusBadRequest, "the body is not JSON: %s, near line %d, column %d; send one JSON object", wrong, wrong.Line, wrong.Column)
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, newProblem(http.StatusUnprocessableEntity, "the body is %s; send a JSON object", strict.Describe(v))
	}
	return object, nil
}

// fill checks an object as a client sent it and decodes it.
func fill[T any](object map[string]any) (out T, p *problem) {
	if faults := strict.Fill(object, &out, strict.Options{}); len(faults) > 0 {
		return out, invalid(faults)
	}
	return out, nil
}

// decode reads the body of a request.
func decode[T any](data []byte) (out T, p *problem) {
	object, p := parseObject(data)
	if p != nil {
		return out, p
	}
	return fill[T](object)
}
