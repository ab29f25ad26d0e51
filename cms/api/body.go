package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

type bodyKey struct{}

// bodyOf returns the body that readBody put aside; nil when there was none.
func bodyOf(ctx context.Context) []byte {
	data, _ := ctx.Value(bodyKey{}).([]byte)
	return data
}

// readBody reads the body of a request, bounded in size and time, before the
// operation begins. The time bound ends with the body, so that an operation may
// wait for longer.
func (a *API) readBody(optional bool) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		r, w := humago.Unwrap(ctx)
		data, p := a.readAll(w, r)
		if p == nil && !optional && len(bytes.TrimSpace(data)) == 0 {
			p = newProblem(http.StatusBadRequest, "the request has no body; send a JSON object")
		}
		if p == nil && len(data) > 0 {
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
	known := false
	for _, m := range allowed {
		known = known || media == m
	}
	if err != nil || !known {
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

const maxDepth = 64

// parseObject reads one JSON object and nothing after it. Numbers stay as they
// were written; a name that is given twice is refused, since one of the two
// would be lost.
func parseObject(data []byte) (map[string]any, *problem) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	v, err := parseValue(d, "", 0)
	if err == nil {
		if _, extra := d.Token(); !errors.Is(extra, io.EOF) {
			err = errors.New("something follows the object")
		}
	}
	if err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("it ends in the middle")
		}
		return nil, newProblem(http.StatusBadRequest, "the body is not JSON: %s, near %s; send one JSON object", err.Error(), position(data, d.InputOffset()))
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, newProblem(http.StatusUnprocessableEntity, "the body is %s; send a JSON object", kindOf(v))
	}
	return object, nil
}

func parseValue(d *json.Decoder, path string, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("it is nested more than %d deep", maxDepth)
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('{'):
		object := map[string]any{}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			key, ok := name.(string)
			if !ok {
				return nil, fmt.Errorf("%v is not a name", name)
			}
			at := below(path, key)
			if _, twice := object[key]; twice {
				return nil, fmt.Errorf("%s is given twice", at)
			}
			if object[key], err = parseValue(d, at, depth+1); err != nil {
				return nil, err
			}
		}
		_, err := d.Token()
		return object, err
	case json.Delim('['):
		list := []any{}
		for d.More() {
			item, err := parseValue(d, item(path, len(list)), depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, item)
		}
		_, err := d.Token()
		return list, err
	}
	return t, nil
}

// position names a place in a text for a person.
func position(data []byte, offset int64) string {
	before := data[:min(max(offset, 0), int64(len(data)))]
	line := 1 + bytes.Count(before, []byte("\n"))
	return fmt.Sprintf("line %d, column %d", line, len(before)-bytes.LastIndexByte(before, '\n'))
}
