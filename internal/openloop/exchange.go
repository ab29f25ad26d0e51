package openloop

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// ErrorKind is why a request has no usable answer.
type ErrorKind string

// The kinds of errors.
const (
	ErrRefused ErrorKind = "refused" // nobody listens there
	ErrDial    ErrorKind = "dial"    // the connection could not be made otherwise
	ErrReset   ErrorKind = "reset"   // the connection was reset before the answer
	ErrClosed  ErrorKind = "closed"  // the connection was closed before the answer
	// ErrStale is ErrReset or ErrClosed on a connection that had carried a
	// request before: the server may have closed it while it was idle, and a
	// client that retries would not have noticed.
	ErrStale   ErrorKind = "stale"
	ErrTimeout ErrorKind = "timeout"  // no complete answer in time
	ErrBody    ErrorKind = "body"     // the answer broke off
	ErrWrongID ErrorKind = "wrong id" // the answer carries another request's id
	ErrOther   ErrorKind = "other"
)

// exchanger sends requests over connections that are kept alive. It never sends
// a request twice.
type exchanger struct {
	config    Config
	url       *url.URL
	transport *http.Transport
	dials     atomic.Int64
}

func newExchanger(c Config, u *url.URL) *exchanger {
	e := &exchanger{config: c, url: u}
	dialer := &net.Dialer{Timeout: c.Timeout}
	e.transport = &http.Transport{
		// No proxy from the environment: what is measured is the URL.
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			e.dials.Add(1)
			return dialer.DialContext(ctx, network, addr)
		},
		MaxIdleConns:        c.MaxInFlight,
		MaxIdleConnsPerHost: c.MaxInFlight,
		// Below what servers commonly have, so that it is us who close.
		IdleConnTimeout:    10 * time.Second,
		DisableCompression: true,
	}
	return e
}

// do sends the request of that id, reads its answer in full and notes what came
// of it.
func (e *exchanger) do(ctx context.Context, o *Outcome) {
	reused := false
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused },
	})
	resp, err := e.transport.RoundTrip(e.request(ctx, o.ID))
	if err != nil {
		o.Kind, o.Err = kindOf(err, reused), err
		return
	}
	o.Code, o.Header = resp.StatusCode, resp.Header
	_, err = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	switch got := resp.Header.Get(IDHeader); {
	case errors.Is(err, context.DeadlineExceeded):
		o.Kind, o.Err = ErrTimeout, err
	case err != nil:
		o.Kind, o.Err = ErrBody, err
	case got != "" && got != o.ID:
		o.Kind, o.Err = ErrWrongID, fmt.Errorf("the answer belongs to another request: %.80q", got)
	}
}

func (e *exchanger) request(ctx context.Context, id string) *http.Request {
	r := &http.Request{
		Method:        e.config.Method,
		URL:           e.url,
		Host:          e.url.Host,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        make(http.Header, len(e.config.Header)+2),
		ContentLength: int64(len(e.config.Body)),
		// A transport silently repeats a request on a connection that turns out
		// to be dead, if it has no body or one that can be had again. This one
		// neither is http.NoBody nor has a GetBody. An empty one adds nothing to
		// what is sent.
		Body: onceBody{bytes.NewReader(e.config.Body)},
	}
	if len(e.config.Body) == 0 {
		r.TransferEncoding = []string{"identity"} // not an empty chunked body
	}
	for name, values := range e.config.Header {
		if strings.EqualFold(name, "Host") && len(values) > 0 {
			r.Host = values[0]
			continue
		}
		r.Header[name] = values
	}
	if r.Header.Get("User-Agent") == "" {
		r.Header.Set("User-Agent", "elastipod-openloop")
	}
	r.Header.Set(IDHeader, id)
	return r.WithContext(ctx)
}

// onceBody can be read once.
type onceBody struct{ io.Reader }

// Close does nothing.
func (onceBody) Close() error { return nil }

func kindOf(err error, reused bool) ErrorKind {
	var op *net.OpError
	var dns *net.DNSError
	var netErr net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return ErrTimeout
	case errors.Is(err, syscall.ECONNREFUSED):
		return ErrRefused
	case errors.As(err, &dns), errors.As(err, &op) && op.Op == "dial":
		return ErrDial
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return staleOr(ErrReset, reused)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		// net/http has no exported error for this one.
		strings.Contains(err.Error(), "server closed idle connection"):
		return staleOr(ErrClosed, reused)
	}
	return ErrOther
}

func staleOr(k ErrorKind, reused bool) ErrorKind {
	if reused {
		return ErrStale
	}
	return k
}

func randomPrefix() string {
	b := make([]byte, 4)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
