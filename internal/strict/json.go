package strict

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxDepth is how deep values may be nested.
const maxDepth = 64

// SyntaxError says why a text is not JSON that can be read.
type SyntaxError struct {
	Path         string // of the name that is given twice; otherwise empty
	Problem      string
	Line, Column int // where it was noticed, both from 1
}

// Error returns the path and the problem.
func (e *SyntaxError) Error() string {
	if e.Path == "" {
		return e.Problem
	}
	return e.Path + " " + e.Problem
}

// ParseJSON reads one JSON value and nothing after it: a map[string]any, []any,
// string, [json.Number], bool or nil. A name that is given twice is refused, since one
// of the two would be lost. Errors are a [*SyntaxError].
func ParseJSON(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	v, err := parse(d, "", 0)
	if err == nil {
		if _, extra := d.Token(); !errors.Is(extra, io.EOF) {
			err = errors.New("something follows the value")
		}
	}
	if err == nil {
		return v, nil
	}
	var e *SyntaxError
	if !errors.As(err, &e) {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("it ends in the middle")
		}
		e = &SyntaxError{Problem: err.Error()}
	}
	before := data[:min(d.InputOffset(), int64(len(data)))]
	e.Line = 1 + bytes.Count(before, []byte("\n"))
	e.Column = len(before) - bytes.LastIndexByte(before, '\n')
	return nil, e
}

func parse(d *json.Decoder, path string, depth int) (any, error) {
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
			at := Below(path, key)
			if _, twice := object[key]; twice {
				return nil, &SyntaxError{Path: at, Problem: "is given twice"}
			}
			if object[key], err = parse(d, at, depth+1); err != nil {
				return nil, err
			}
		}
		_, err := d.Token()
		return object, err
	case json.Delim('['):
		list := []any{}
		for d.More() {
			x, err := parse(d, Item(path, len(list)), depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, x)
		}
		_, err := d.Token()
		return list, err
	}
	return t, nil
}
