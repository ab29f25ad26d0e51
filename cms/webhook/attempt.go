package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const (
	maxAnswer     = 64 << 10 // bytes of a body that nobody looks at
	maxRetryAfter = 10 * time.Minute
)

// outcome is what became of one request.
type outcome struct {
	status int    // 0: no answer
	err    string // "": it was taken
	retry  bool   // it may be taken later
	gone   bool   // it wants no more
	left   bool   // the end came before it was taken
	after  time.Duration
	took   time.Duration
}

func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSHandshakeTimeout:    5 * time.Second,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    2,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 32 << 10,
	}
}

// attempt sends a message once.
func (s *Sender) attempt(ctx context.Context, t Target, id string, body []byte) outcome {
	began := time.Now()
	out := s.post(ctx, t, id, body)
	out.took = time.Since(began)
	return out
}

func (s *Sender) post(parent context.Context, t Target, id string, body []byte) outcome {
	ctx, cancel := context.WithTimeout(parent, t.Timeout)
	defer cancel()
	now := time.Now()
	signature, err := sign(t.Secrets, id, now, body)
	if err != nil {
		return outcome{err: err.Error()}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.URL, bytes.NewReader(body))
	if err != nil {
		return outcome{err: "its URL cannot be used"}
	}
	h := req.Header
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", "elastipod/"+s.cfg.Version)
	// The specification's names are in lower case; HTTP does not mind.
	h.Set(standardwebhooks.HeaderWebhookID, id)
	h.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	h.Set(standardwebhooks.HeaderWebhookSignature, signature)
	resp, err := s.client.Do(req)
	if err != nil {
		if ctx.Err() != nil && parent.Err() == nil {
			return outcome{err: fmt.Sprintf("no answer within %s", t.Timeout), retry: true}
		}
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the URL
		}
		return outcome{err: err.Error(), retry: true}
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer) // so that the connection can be used again
	return judge(resp.StatusCode, resp.Header, now)
}

// sign returns a signature with each secret.
func sign(secrets []string, id string, at time.Time, body []byte) (string, error) {
	var all []string
	for _, secret := range secrets {
		w, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			return "", errors.New("its secret cannot be used") // the error would repeat it
		}
		one, err := w.Sign(id, at, body)
		if err != nil {
			return "", err
		}
		all = append(all, one)
	}
	return strings.Join(all, " "), nil
}

// judge says what an answer means.
func judge(status int, h http.Header, now time.Time) outcome {
	out := outcome{status: status}
	switch {
	case status >= 200 && status < 300:
		return out
	case status >= 300 && status < 400:
		out.err = fmt.Sprintf("status %d: redirects are not followed; set the URL that it leads to", status)
		return out
	}
	out.err = fmt.Sprintf("status %d", status)
	if text := http.StatusText(status); text != "" {
		out.err += " " + text
	}
	out.gone = status == http.StatusGone
	out.retry = status == http.StatusTooManyRequests || status >= http.StatusInternalServerError
	if out.retry {
		out.after = min(retryAfter(h.Get("Retry-After"), now), maxRetryAfter)
	}
	return out
}

// retryAfter reads the header of that name: seconds, or a date. It is 0 where
// there is none that can be read.
func retryAfter(text string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}
