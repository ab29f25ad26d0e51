package inproc

import "bytes"

// kind is what a field means to a proxy.
type kind uint8

const (
	other kind = iota
	connection
	contentLength
	transferEncoding
	host
	expect
	upgrade
	te
	trailer
	date
	dropped // of this hop only, or ours to set
)

// kindOf says what the field of that name is. A name with underscores that
// would be taken for one that matters is dropped.
func kindOf(name []byte) kind {
	k := other
	switch len(name) {
	case 2:
		k = match(name, k, "te", te)
	case 4:
		k = match(name, k, "host", host)
		k = match(name, k, "date", date)
	case 6:
		k = match(name, k, "expect", expect)
	case 7:
		k = match(name, k, "upgrade", upgrade)
		k = match(name, k, "trailer", trailer)
	case 9:
		k = match(name, k, "forwarded", dropped)
	case 10:
		k = match(name, k, "connection", connection)
		k = match(name, k, "keep-alive", dropped)
	case 14:
		k = match(name, k, "content-length", contentLength)
	case 15:
		k = match(name, k, "x-forwarded-for", dropped)
	case 16:
		k = match(name, k, "x-forwarded-host", dropped)
		k = match(name, k, "proxy-connection", dropped)
	case 17:
		k = match(name, k, "transfer-encoding", transferEncoding)
		k = match(name, k, "x-forwarded-proto", dropped)
	case 18:
		k = match(name, k, "proxy-authenticate", dropped)
	case 19:
		k = match(name, k, "proxy-authorization", dropped)
	}
	return k
}

func match(name []byte, now kind, word string, is kind) kind {
	if now != other || name[0]|0x20 != word[0] || !foldLoose(name, word) {
		return now
	}
	if bytes.IndexByte(name, '_') >= 0 {
		return dropped
	}
	return is
}

// field is one line of a head. raw includes its newline; all point into the
// buffer that the head was read to.
type field struct {
	raw, name, value []byte
	kind             kind
}

// parseField parses a line, which ends with CR LF.
func parseField(raw []byte) (field, bool) {
	colon := 0
	for class[raw[colon]]&isToken != 0 {
		colon++ // CR, at the latest, is no token
	}
	if colon == 0 || raw[colon] != ':' {
		return field{}, false
	}
	value := trim(raw[colon+1 : len(raw)-2])
	if !all(value, isText) {
		return field{}, false
	}
	name := raw[:colon]
	return field{raw: raw, name: name, value: value, kind: kindOf(name)}, true
}

// maxFields bounds the fields of a head, and the names in its Connection.
const maxFields = 256

// parseFields appends the fields of a head, without its first line and with the
// empty line that ends it. It stops once there are more than maxFields.
func parseFields(to []field, b []byte) ([]field, bool) {
	for {
		end := bytes.IndexByte(b, '\n') + 1
		if end < 2 || b[end-2] != '\r' {
			return to, false
		}
		if end == 2 {
			return to, len(b) == 2
		}
		f, ok := parseField(b[:end])
		if !ok {
			return to, false
		}
		if to = append(to, f); len(to) > maxFields {
			return to, false
		}
		b = b[end:]
	}
}

// framing is how long a body is.
type framing struct {
	chunked bool
	length  int64 // -1: not given
}

// options are what the Connection fields of a head say.
type options struct {
	close, keepAlive, upgrade bool
	named                     bool // fields of this hop are named
}

// common reads the fields that requests and responses share. It says no where
// there is more than one way to read the framing.
func common(fields []field) (fr framing, o options, ok bool) {
	fr.length = -1
	words := 0
	for i := range fields {
		f := &fields[i]
		switch f.kind {
		case contentLength:
			n, good := parseLength(f.value)
			if !good || fr.length >= 0 {
				return fr, o, false
			}
			fr.length = n
		case transferEncoding:
			if fr.chunked || !fold(f.value, "chunked") {
				return fr, o, false
			}
			fr.chunked = true
		case connection:
			eachWord(f.value, func(w []byte) bool {
				if words++; words > maxFields {
					return false
				}
				switch {
				case fold(w, "close"):
					o.close = true
				case fold(w, "keep-alive"):
					o.keepAlive = true
				case fold(w, "upgrade"):
					o.upgrade = true
				case fold(w, "te"):
				default:
					o.named = true
				}
				return true
			})
		}
	}
	return fr, o, !(fr.chunked && fr.length >= 0) && words <= maxFields
}

// dropNamed marks the fields that Connection names as dropped. Those that
// frame or route the message cannot be named away.
func dropNamed(fields []field) {
	for i := range fields {
		if fields[i].kind != connection {
			continue
		}
		eachWord(fields[i].value, func(w []byte) bool {
			for j := range fields {
				if fields[j].kind == other && bytes.EqualFold(fields[j].name, w) {
					fields[j].kind = dropped
				}
			}
			return true
		})
	}
}
