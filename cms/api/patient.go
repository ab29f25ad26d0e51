package api

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

const (
	// partBytes is how much of an answer has to be taken within Config.WriteTimeout.
	partBytes = 64 << 10
	// keptUnsent is about how much of an answer the kernel keeps for a client that
	// does not read; it counts twice that, with what it needs itself. By default it
	// would be megabytes.
	keptUnsent = 64 << 10
)

// patient writes an answer in parts, and waits for each no longer than the
// timeout: neither a stream nor a large answer is bounded as a whole, but nobody
// holds a goroutine, a descriptor and an answer who does not read on.
type patient struct {
	http.ResponseWriter
	control *http.ResponseController // of ResponseWriter
	timeout time.Duration
	// multiplexed is HTTP/2, where a deadline also ends a stream on which nothing
	// waits to be written.
	multiplexed bool
	status      int // of the answer, once it has begun
}

// answering is a handler of requests to the API.
type answering func(w *patient, r *http.Request)

// patiently gives every answer a patient writer.
func (a *API) patiently(next answering) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := &patient{ResponseWriter: w, control: http.NewResponseController(w), timeout: a.cfg.WriteTimeout, multiplexed: r.ProtoMajor > 1}
		p.hurry() // for what the server itself writes, such as 100 Continue
		p.rest()
		defer p.hurry() // for the end of the answer, which the server writes
		next(p, r)
	})
}

// Unwrap is for [http.ResponseController].
func (p *patient) Unwrap() http.ResponseWriter { return p.ResponseWriter }

func (p *patient) hurry() {
	_ = p.control.SetWriteDeadline(time.Now().Add(p.timeout)) // not supported by writers of tests
}

func (p *patient) rest() {
	if p.multiplexed {
		_ = p.control.SetWriteDeadline(time.Time{})
	}
}

// WriteHeader passes one head on, beside those of interim answers: of a client that
// goes away amid an answer, huma sets the status once more, which net/http would
// complain about.
func (p *patient) WriteHeader(status int) {
	if p.status != 0 {
		return
	}
	if status >= http.StatusOK || status == http.StatusSwitchingProtocols {
		p.status = status
	}
	p.ResponseWriter.WriteHeader(status)
}

// Write returns when all of b is on its way, or an error after a part that was not.
func (p *patient) Write(b []byte) (written int, err error) {
	p.status = cmp.Or(p.status, http.StatusOK)
	defer p.rest()
	for {
		p.hurry()
		n, err := p.ResponseWriter.Write(b[written:min(len(b), written+partBytes)])
		written += n
		if err != nil || written == len(b) {
			return written, err
		}
	}
}

// FlushError is for [http.ResponseController].
func (p *patient) FlushError() error {
	p.status = cmp.Or(p.status, http.StatusOK)
	defer p.rest()
	p.hurry()
	if err := p.control.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// keepLittle bounds what the kernel keeps of answers, for every connection.
func keepLittle(next func(context.Context, net.Conn) context.Context) func(context.Context, net.Conn) context.Context {
	return func(ctx context.Context, c net.Conn) context.Context {
		under := c
		if secure, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
			under = secure.NetConn()
		}
		if tcp, ok := under.(interface{ SetWriteBuffer(bytes int) error }); ok {
			_ = tcp.SetWriteBuffer(keptUnsent) // then it keeps more
		}
		if next != nil {
			return next(ctx, c)
		}
		return ctx
	}
}
