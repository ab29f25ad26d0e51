package inproc

import (
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// appendAnswer appends an answer of the proxy's own: a line of plain text that
// says why.
func appendAnswer(b []byte, status int, why string, isHead, http10, keep bool, now []byte) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = append(b, http.StatusText(status)...)
	b = append(b, "\r\nContent-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n"...)
	b = append(b, now...)
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, int64(len(why)+1), 10)
	switch {
	case !keep:
		b = append(b, "\r\nConnection: close"...)
	case http10:
		b = append(b, "\r\nConnection: keep-alive"...)
	}
	b = append(b, "\r\n\r\n"...)
	if !isHead {
		b = append(b, why...)
		b = append(b, '\n')
	}
	return b
}

type datedSecond struct {
	second int64
	field  []byte
}

// shared is what all exchanges of a Balancer use in turn.
type shared struct {
	exchanges sync.Pool // of *exchange
	bulk      sync.Pool // of *[bulkBuffer]byte, for what is long
	date      atomic.Pointer[datedSecond]
}

func newShared() *shared {
	return &shared{
		exchanges: sync.Pool{New: func() any { return newExchange() }},
		bulk:      sync.Pool{New: func() any { return new([bulkBuffer]byte) }},
	}
}

// dateField returns "Date: …" with its line end. It is made once a second.
func (sh *shared) dateField(now time.Time) []byte {
	s := now.Unix()
	d := sh.date.Load()
	if d == nil || d.second != s {
		d = &datedSecond{second: s, field: []byte("Date: " + now.UTC().Format(http.TimeFormat) + "\r\n")}
		sh.date.Store(d)
	}
	return d.field
}
