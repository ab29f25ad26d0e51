package inproc

import (
	"bytes"
	"errors"
	"strconv"
)

// response is a parsed response head. Its slices point into the buffer that
// the head was read to.
type response struct {
	status int
	reason []byte // with the status, as on the status line
	framing
	options
	http10    bool
	hasDate   bool
	upgradeTo []byte
	fields    []field
}

// errResponse says that a server's answer is not HTTP, or has no clear end.
var errResponse = errors.New("inproc: malformed response")

// parse parses a whole head, the empty line included.
func (r *response) parse(head []byte) error {
	*r = response{fields: r.fields[:0], framing: framing{length: -1}}
	end := bytes.IndexByte(head, '\n') + 1
	if end < len("HTTP/1.1 200\r\n") || head[end-2] != '\r' {
		return errResponse
	}
	line := head[:end-2]
	switch string(line[:9]) {
	case "HTTP/1.1 ":
	case "HTTP/1.0 ":
		r.http10 = true
	default:
		return errResponse
	}
	r.reason = line[9:]
	a, b, c := line[9], line[10], line[11]
	if a < '1' || a > '9' || !digit(b) || !digit(c) || len(line) > 12 && line[12] != ' ' || !all(r.reason, isText) {
		return errResponse
	}
	r.status = int(a-'0')*100 + int(b-'0')*10 + int(c-'0')
	var ok bool
	if r.fields, ok = parseFields(r.fields, head[end:]); !ok {
		return errResponse
	}
	if r.framing, r.options, ok = common(r.fields); !ok || r.chunked && r.http10 {
		return errResponse
	}
	for i := range r.fields {
		switch r.fields[i].kind {
		case date:
			r.hasDate = true
		case upgrade:
			r.upgradeTo = r.fields[i].value
		}
	}
	if r.named {
		dropNamed(r.fields)
	}
	return nil
}

// keeps says whether the server's connection takes another request after this.
func (r *response) keeps() bool {
	return !r.close && (!r.http10 || r.keepAlive)
}

// bodyless says whether no body follows, whatever the framing says.
func (r *response) bodyless(req *request) bool {
	return req.isHead || r.status < 200 || r.status == 204 || r.status == 304
}

// delivery is how a body is sent on to the client.
type delivery uint8

const (
	noBody delivery = iota
	byLength
	byChunks
	byClose
)

// deliver says how the body of r is sent on to a client of that request.
func (r *response) deliver(req *request) delivery {
	switch {
	case r.bodyless(req) || !r.chunked && r.length == 0:
		return noBody
	case r.length >= 0:
		return byLength
	case req.http10:
		return byClose
	}
	return byChunks
}

// appendTo appends the head for the client. keep says whether its connection
// stays; now is a Date field for a response that has none.
func (r *response) appendTo(b []byte, req *request, keep bool, now []byte) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = append(b, r.reason...)
	if len(r.reason) == 3 {
		b = append(b, ' ')
	}
	b = append(b, "\r\n"...)
	d := r.deliver(req)
	for i := range r.fields {
		switch f := &r.fields[i]; f.kind {
		case other, date, host, expect, te:
			b = append(b, f.raw...)
		case trailer:
			if d == byChunks {
				b = append(b, f.raw...)
			}
		}
	}
	if !r.hasDate && r.status >= 200 {
		b = append(b, now...)
	}
	switch {
	case r.status < 200:
	case d == byChunks:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	case r.length >= 0 && r.status != 204:
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, r.length, 10)
		b = append(b, "\r\n"...)
	}
	switch {
	case r.status == 101:
		b = append(b, "Connection: Upgrade\r\nUpgrade: "...)
		b = append(b, r.upgradeTo...)
		b = append(b, "\r\n"...)
	case r.status < 200:
	case !keep:
		b = append(b, "Connection: close\r\n"...)
	case req.http10:
		b = append(b, "Connection: keep-alive\r\n"...)
	}
	return append(b, "\r\n"...)
}
