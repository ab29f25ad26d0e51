package inproc

import (
	"bytes"
	"strconv"
)

// request is a parsed request head. Its slices point into the buffer that the
// head was read to.
type request struct {
	method, target, host []byte
	framing
	options
	http10     bool
	isHead     bool
	idempotent bool // RFC 9110, section 9.2.2
	expects    bool // 100-continue
	teTrailers bool
	hasHost    bool
	upgradeTo  []byte
	fields     []field
}

// refusal says why a request is not served. It is an error for the client.
type refusal struct {
	status int
	why    string
}

func (r *refusal) Error() string { return strconv.Itoa(r.status) + ": " + r.why }

var (
	errRequestLine = &refusal{400, "the request line is malformed"}
	errVersion     = &refusal{505, "only HTTP/1.1 and HTTP/1.0 are served here"}
	errTarget      = &refusal{400, "the request target is malformed"}
	errConnect     = &refusal{400, "CONNECT is not served here"}
	errField       = &refusal{400, "a header field is malformed"}
	errFraming     = &refusal{400, "the length of the body is unclear"}
	errEncoding    = &refusal{400, "Transfer-Encoding needs HTTP/1.1"}
	errHost        = &refusal{400, "the Host is missing, repeated or malformed"}
	errExpect      = &refusal{417, "only the expectation 100-continue can be met"}
	errNewline     = &refusal{400, "a line does not end with CR LF"}
	errHeadSize    = &refusal{431, "the header is too large"}
	errChunk       = &refusal{400, "the chunked body is malformed"}
)

// parse parses a whole head, the empty line included.
func (r *request) parse(head []byte) *refusal {
	*r = request{fields: r.fields[:0], framing: framing{length: -1}}
	end := bytes.IndexByte(head, '\n') + 1
	if end < 2 || head[end-2] != '\r' {
		return errNewline
	}
	if err := r.parseLine(head[:end-2]); err != nil {
		return err
	}
	var ok bool
	if r.fields, ok = parseFields(r.fields, head[end:]); !ok {
		if len(r.fields) > maxFields {
			return errHeadSize
		}
		return errField
	}
	if r.framing, r.options, ok = common(r.fields); !ok {
		return errFraming
	}
	if r.chunked && r.http10 {
		return errEncoding
	}
	if err := r.parseTarget(); err != nil {
		return err
	}
	return r.parseRest()
}

func (r *request) parseLine(line []byte) *refusal {
	sp := bytes.IndexByte(line, ' ')
	if sp <= 0 || !all(line[:sp], isToken) {
		return errRequestLine
	}
	r.method = line[:sp]
	rest := line[sp+1:]
	if sp = bytes.IndexByte(rest, ' '); sp <= 0 {
		return errRequestLine
	}
	r.target = rest[:sp]
	switch version := rest[sp+1:]; {
	case string(version) == "HTTP/1.1":
	case string(version) == "HTTP/1.0":
		r.http10 = true
	case len(version) == 8 && string(version[:5]) == "HTTP/" && digit(version[5]) && version[6] == '.' && digit(version[7]):
		return errVersion
	default:
		return errRequestLine
	}
	if !all(r.target, isTarget) {
		return errTarget
	}
	switch string(r.method) {
	case "GET", "OPTIONS", "TRACE", "PUT", "DELETE":
		r.idempotent = true
	case "HEAD":
		r.idempotent, r.isHead = true, true
	case "CONNECT":
		return errConnect
	}
	return nil
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// parseTarget finds the Host, and makes an absolute target one of origin form:
// its authority then counts for more than the Host field (RFC 9112, 3.2.2).
func (r *request) parseTarget() *refusal {
	for i := range r.fields {
		if r.fields[i].kind == host {
			if r.hasHost || !all(r.fields[i].value, isHost) {
				return errHost
			}
			r.hasHost, r.host = true, r.fields[i].value
		}
	}
	if !r.hasHost && !r.http10 {
		return errHost
	}
	if r.target[0] == '/' {
		return nil
	}
	if string(r.target) == "*" && string(r.method) == "OPTIONS" {
		return nil
	}
	authority := r.target
	switch {
	case len(authority) > 7 && fold(authority[:7], "http://"):
		authority = authority[7:]
	case len(authority) > 8 && fold(authority[:8], "https://"):
		authority = authority[8:]
	default:
		return errTarget
	}
	end := bytes.IndexAny(authority, "/?")
	if end < 0 {
		end = len(authority)
	}
	path := authority[end:]
	authority = authority[:end]
	if len(authority) == 0 || !all(authority, isHost) {
		return errTarget
	}
	switch {
	case len(path) == 0:
		path = []byte("/")
	case path[0] == '?':
		path = append([]byte("/"), path...)
	}
	r.target, r.host, r.hasHost = path, authority, true
	return nil
}

func (r *request) parseRest() *refusal {
	for i := range r.fields {
		f := &r.fields[i]
		switch f.kind {
		case expect:
			if !fold(f.value, "100-continue") {
				return errExpect
			}
			r.expects = !r.http10
		case upgrade:
			if r.upgradeTo == nil && len(f.value) > 0 {
				r.upgradeTo = f.value
			}
		case te:
			eachWord(f.value, func(w []byte) bool {
				r.teTrailers = r.teTrailers || fold(w, "trailers")
				return true
			})
		}
	}
	if !r.options.upgrade || r.http10 {
		r.upgradeTo = nil
	}
	if r.named {
		dropNamed(r.fields)
	}
	return nil
}

// keeps says whether the client's connection takes another request after this.
func (r *request) keeps() bool {
	return !r.close && (!r.http10 || r.keepAlive)
}

func (r *request) hasBody() bool { return r.chunked || r.length > 0 }

// appendTo appends the head for a server: the request line, Host, what the
// client sent less what concerns this hop only, then forwarded (whole lines and
// "X-Forwarded-Host: "), the Host again, and the framing.
func (r *request) appendTo(b, forwarded []byte, noHost string) []byte {
	b = append(b, r.method...)
	b = append(b, ' ')
	b = append(b, r.target...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	at := len(b)
	if r.hasHost {
		b = append(b, r.host...)
	} else {
		b = append(b, noHost...)
	}
	name := b[at:len(b):len(b)]
	b = append(b, "\r\n"...)
	for i := range r.fields {
		switch f := &r.fields[i]; f.kind {
		case other, date:
			b = append(b, f.raw...)
		case trailer:
			if r.chunked {
				b = append(b, f.raw...)
			}
		}
	}
	b = append(b, forwarded...)
	b = append(b, name...)
	b = append(b, "\r\n"...)
	if r.teTrailers {
		b = append(b, "TE: trailers\r\n"...)
	}
	if r.expects {
		b = append(b, "Expect: 100-continue\r\n"...)
	}
	if r.upgradeTo != nil {
		b = append(b, "Connection: Upgrade\r\nUpgrade: "...)
		b = append(b, r.upgradeTo...)
		b = append(b, "\r\n"...)
	}
	switch {
	case r.chunked:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	case r.length >= 0:
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, r.length, 10)
		b = append(b, "\r\n"...)
	}
	return append(b, "\r\n"...)
}
