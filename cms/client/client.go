package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/elastipod/elastipod/cms/wire"
)

// DefaultServer is the server's address where none is given.
const DefaultServer = "http://127.0.0.1:3000"

// maxAnswer bounds what is read of an answer that is no stream.
const maxAnswer = 256 << 20

// Config is what a [Client] is made of.
type Config struct {
	// Server is the server's URL; "host:port" means http. Default
	// [DefaultServer].
	Server string
	// Token is sent with each request. It is refused for servers on another
	// machine without TLS, unless Insecure is set. Default: none.
	Token string
	// HTTPClient sends the requests; it must have no Timeout, which would end
	// streams and waits. Default: a client of its own.
	HTTPClient *http.Client
	// Insecure also sends the token without TLS to other machines.
	Insecure bool
	// UserAgent is sent with each request. Default "elastipod-client".
	UserAgent string
}

// Client is a client of one server. It may be used by several goroutines.
type Client struct {
	base  *url.URL
	token string
	http  *http.Client
	agent string
}

// New returns a client. It does not connect yet.
func New(c Config) (*Client, error) {
	server := c.Server
	if server == "" {
		server = DefaultServer
	}
	if !strings.Contains(server, "://") {
		server = "http://" + server
	}
	u, err := url.Parse(server)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("client: %.200q is not a server's address; use one such as %s", c.Server, DefaultServer)
	}
	if c.Token != "" && u.Scheme == "http" && !c.Insecure && !loopback(u.Hostname()) {
		return nil, fmt.Errorf("client: a token would go to %s unencrypted; use https, or allow it", u.Host)
	}
	if strings.ContainsAny(c.Token, "\r\n") {
		return nil, errors.New("client: the token holds a line break; leave it out")
	}
	u.Path = strings.TrimRight(u.Path, "/")
	client := &Client{base: u, token: c.Token, http: c.HTTPClient, agent: c.UserAgent}
	if client.http == nil {
		client.http = &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone(), CheckRedirect: noRedirect}
	}
	if client.agent == "" {
		client.agent = "elastipod-client"
	}
	return client, nil
}

// noRedirect keeps a token from going elsewhere; the API never redirects.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Server returns the server's URL.
func (c *Client) Server() string { return c.base.String() }

// Close closes idle connections. Requests that run go on.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Error is an error of the server.
type Error struct {
	// Method and Path say what was asked.
	Method, Path string
	// Problem says what is wrong and what to do. Its Detail is never empty.
	Problem wire.ProblemDetails
	// RetryAfter is when the server thinks that asking again may help; 0: it
	// did not say.
	RetryAfter time.Duration
}

// Error returns the problem's detail.
func (e *Error) Error() string { return e.Problem.Detail }

// StatusOf returns the HTTP status of an error of the server, or 0.
func StatusOf(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.Problem.Status
	}
	return 0
}

// NotFound says whether the server said that something does not exist.
func NotFound(err error) bool { return StatusOf(err) == http.StatusNotFound }

// Conflict says whether the server said that something exists already, or that
// its state forbids what was asked.
func Conflict(err error) bool { return StatusOf(err) == http.StatusConflict }

// request is one call of an operation.
type request struct {
	method string
	path   string // escaped
	query  url.Values
	body   any       // nil: none
	upload io.Reader // goes before body, as it is; nil: none
	header http.Header
}

// pathOf escapes the parts of a path.
func pathOf(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(p))
	}
	return b.String()
}

// send sends a request and returns an answer of success, whose body the caller
// closes.
func (c *Client) send(ctx context.Context, r request) (*http.Response, error) {
	var body io.Reader
	if r.body != nil {
		data, err := json.Marshal(r.body)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", r.method, r.path, err)
		}
		body = bytes.NewReader(data)
	}
	media := "application/json"
	if r.upload != nil {
		body, media = r.upload, wire.BackupType
	}
	target := c.base.String() + r.path
	if q := r.query.Encode(); q != "" {
		target += "?" + q
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	if body != nil {
		req.Header.Set("Content-Type", media)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	req.Header.Set("User-Agent", c.agent)
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if res.StatusCode/100 != 2 {
		defer func() { _ = res.Body.Close() }()
		return nil, readError(r, res)
	}
	return res, nil
}

// unreachable says which server did not answer, and keeps the cause.
func (c *Client) unreachable(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return fmt.Errorf("no answer from %s: %w", c.base, err)
}

func readError(r request, res *http.Response) *Error {
	e := &Error{Method: r.method, Path: r.path}
	data, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20)) // what came says enough
	if media, _, err := mime.ParseMediaType(res.Header.Get("Content-Type")); err == nil && media == wire.ProblemType {
		_ = json.Unmarshal(data, &e.Problem) // what is missing is filled in below
	}
	e.Problem.Status = res.StatusCode
	if e.Problem.Title == "" {
		e.Problem.Title = http.StatusText(res.StatusCode)
	}
	if e.Problem.Detail == "" {
		e.Problem.Detail = fmt.Sprintf("%s %s: the server answered %s; is it an elastipod server?", r.method, r.path, res.Status)
	}
	if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && s > 0 {
		e.RetryAfter = time.Duration(s) * time.Second
	}
	return e
}

// do sends a request and decodes the answer.
func do[T any](ctx context.Context, c *Client, r request) (T, error) {
	var out T
	res, err := c.send(ctx, r)
	if err != nil {
		return out, err
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return out, fmt.Errorf("%s %s: read the answer: %w", r.method, r.path, err)
	}
	if err := json.Unmarshal(data, &out); err != nil {
		return out, fmt.Errorf("%s %s: the answer of %s is not understood: %w; is it an elastipod server of this version?", r.method, r.path, c.base, err)
	}
	return out, nil
}

func loopback(host string) bool {
	return host == "localhost" || host == "::1" || strings.HasPrefix(host, "127.")
}
