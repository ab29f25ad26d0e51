package api

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.opentelemetry.io/otel/trace"

	"github.com/elastipod/elastipod/cms"
)

// Config is what an [API] is made of. Fields without a default are required.
type Config struct {
	// Manager is served; a [cms.Manager] is one.
	Manager manager
	// Tokens may use the API. Default: none, and then everybody who reaches it
	// may do everything.
	Tokens []Token
	// Metrics is served at /metrics to viewers. Default: 404.
	Metrics http.Handler
	// Version is shown in /v1/cluster and in the OpenAPI document. Default "dev".
	Version string
	// Logger gets one line for each write, unless Audit is told of them, and for each failure of the server.
	// Default: none.
	Logger *slog.Logger
	// Audit is told of every write when it is over: done, refused, failed or
	// aborted, exactly once. It is called on the goroutine that answers, by several
	// at once, and should take no time. Default: nobody is told.
	Audit func(AuditEntry)
	// Webhooks are listed at /v1/webhooks. Default: none.
	Webhooks Webhooks
	// Ready returns why requests cannot be served, or nil; it is asked by
	// /readyz once the manager is ready. The text of a [cms.Refusal] is shown, any
	// other error is not. Default: nothing more is asked.
	Ready func() error
	// AllowedHosts are names, without port, that the Host header may have
	// besides localhost and IP addresses of this machine where a request came to
	// a loopback address: those of a reverse proxy in front. "*" allows any.
	AllowedHosts []string
	// AllowedOrigins are origins, such as "https://ops.example.com", of which
	// browsers may send writes besides the API's own.
	AllowedOrigins []string
	// MaxBodyBytes is the most that a request's body may hold. Default 1 MiB.
	MaxBodyBytes int64
	// ReadTimeout bounds the reading of a request's body. Default 10 s.
	ReadTimeout time.Duration
	// WriteTimeout bounds how long an answer waits for a client that does not read:
	// within it, 64 KiB of an answer, or an event or a piece of a log, have to be
	// taken. It does not bound a whole answer. Default 20 s.
	WriteTimeout time.Duration
	// MaxStreams is how many streams of events and logs there may be at a time;
	// others are answered 503. A followed log keeps a file or a connection to an
	// engine open. Default 4096.
	MaxStreams int
	// Heartbeat is the time between two signs of life on a quiet stream of
	// events. Default 15 s.
	Heartbeat time.Duration
	// TracerProvider gets a span for each request to the API, below that of a
	// traceparent header (W3C Trace Context), and what a [cms.Manager] with the
	// same provider does for it below that. /healthz, /readyz and /metrics get
	// none. Default: none, at no cost.
	TracerProvider trace.TracerProvider
	// Reload reads the server's configuration anew. Default: 501.
	Reload ReloadFunc
}

// Token is a secret that a client sends as "Authorization: Bearer SECRET".
type Token struct {
	// Name says in logs who it was. It is required and unique.
	Name string
	Role Role // what it may do
	// Secret has at least 16 characters.
	Secret string
}

// String returns the token without its secret.
func (t Token) String() string { return t.Name + " (" + string(t.Role) + ")" }

// GoString returns the token without its secret.
func (t Token) GoString() string { return t.String() }

// LogValue returns the token without its secret.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// Role is what a token may do.
type Role string

// The roles, each with everything that the one before it may do.
const (
	Viewer   Role = "viewer"   // reads
	Client   Role = "client"   // also submits jobs
	Operator Role = "operator" // does everything
)

func (r Role) rank() int {
	switch r {
	case Viewer:
		return 1
	case Client:
		return 2
	case Operator:
		return 3
	}
	return 0
}

const minSecret = 16

func (c Config) withDefaults() Config {
	c.Version = cmp.Or(c.Version, "dev")
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Webhooks == nil {
		c.Webhooks = noWebhooks{}
	}
	if c.Ready == nil {
		c.Ready = func() error { return nil }
	}
	c.MaxBodyBytes = cmp.Or(c.MaxBodyBytes, 1<<20)
	c.ReadTimeout = cmp.Or(c.ReadTimeout, 10*time.Second)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, 20*time.Second)
	c.MaxStreams = cmp.Or(c.MaxStreams, 4096)
	c.Heartbeat = cmp.Or(c.Heartbeat, 15*time.Second)
	return c
}

func (c Config) validate() error {
	var f cms.Faults
	if c.Manager == nil {
		f.Add("Manager", "set one: cms.New", "is nil")
	}
	names, secrets := map[string]bool{}, map[string]bool{}
	for i, t := range c.Tokens {
		at := fmt.Sprintf("Tokens[%d]", i)
		if t.Name == "" || names[t.Name] {
			f.Add(at+".Name", "give each token a name of its own", "%q is empty or used twice", t.Name)
		}
		if t.Role.rank() == 0 {
			f.Add(at+".Role", `use "viewer", "client" or "operator"`, "%q is unknown", t.Role)
		}
		if len(t.Secret) < minSecret || strings.ContainsFunc(t.Secret, func(r rune) bool { return r <= ' ' || r > '~' }) {
			f.Add(at+".Secret", "use at least 16 visible ASCII characters without blanks", "is too short or holds other characters")
		}
		if secrets[t.Secret] {
			f.Add(at+".Secret", "give each token a secret of its own", "is used twice")
		}
		names[t.Name], secrets[t.Secret] = true, true
	}
	if c.MaxBodyBytes < 0 {
		f.Add("MaxBodyBytes", "use a number of bytes above 0", "%d is negative", c.MaxBodyBytes)
	}
	if c.MaxStreams < 0 {
		f.Add("MaxStreams", "use a number above 0", "%d is negative", c.MaxStreams)
	}
	for _, x := range []struct {
		name string
		d    time.Duration
	}{{"ReadTimeout", c.ReadTimeout}, {"WriteTimeout", c.WriteTimeout}, {"Heartbeat", c.Heartbeat}} {
		if x.d < 0 {
			f.Add(x.name, "use a duration above 0", "%s is negative", x.d)
		}
	}
	if err := f.Err(); err != nil {
		return fmt.Errorf("api: %w", err)
	}
	return nil
}

// API serves a manager over HTTP.
type API struct {
	cfg     Config
	m       manager
	log     *slog.Logger
	handler http.Handler
	huma    huma.API
	schemas huma.Registry
	// auditNames are the names that entries of the audit may hold.
	auditNames func() auditNames
	doc        func() []byte // the OpenAPI document, made when it is first asked for
	served     []string      // every pattern that has a handler
	access     atomic.Pointer[access]
	guesses    *guesses

	subscribe func(after uint64, buffer int) subscription

	streams streams
}

// New returns an API. It starts nothing. An error holds every fault of the
// config as [cms.Faults].
func New(c Config) (*API, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	a := &API{cfg: c, m: c.Manager, log: c.Logger, guesses: newGuesses()}
	access, err := newAccess(Access{c.Tokens, c.AllowedHosts, c.AllowedOrigins})
	if err != nil {
		return nil, err
	}
	a.access.Store(access)
	a.subscribe = func(after uint64, buffer int) subscription { return a.m.Subscribe(after, buffer) }
	a.streams.init(c.MaxStreams, func(t tokenHash) bool { return a.access.Load().admits(t) })
	a.handler = a.routes()
	return a, nil
}

// Handler serves every path of the API: /v1/…, /healthz, /readyz, /metrics,
// /openapi.json and /docs. It answers other paths with 404.
func (a *API) Handler() http.Handler { return a.handler }

// Bound sets those bounds of a server that a handler cannot: on headers, on the
// time that a client may take to send them, on connections that are idle, and on
// what waits to be sent. Values that are set already stay. The server needs no
// ReadTimeout: bodies are bounded by the API itself. WriteTimeout becomes that of
// the API, whose own answers, streams and waiting requests it does not cut; other
// handlers of the server that answer for longer set a deadline of their own with
// an [http.ResponseController].
func (a *API) Bound(s *http.Server) {
	s.ReadHeaderTimeout = cmp.Or(s.ReadHeaderTimeout, 5*time.Second)
	s.IdleTimeout = cmp.Or(s.IdleTimeout, 2*time.Minute)
	s.MaxHeaderBytes = cmp.Or(s.MaxHeaderBytes, 32<<10)
	s.WriteTimeout = cmp.Or(s.WriteTimeout, a.cfg.WriteTimeout)
	http2 := http.HTTP2Config{}
	if s.HTTP2 != nil {
		http2 = *s.HTTP2
	}
	http2.WriteByteTimeout = cmp.Or(http2.WriteByteTimeout, a.cfg.WriteTimeout) // of a whole connection, the streams of which share it
	s.HTTP2 = &http2
	s.ConnContext = keepLittle(s.ConnContext)
}

// Close ends the streams of events and logs, answers new ones with 503, and
// waits until they have ended. Other requests go on. It is safe to call twice.
// Call it before [http.Server.Shutdown], which waits for streams.
func (a *API) Close() error {
	a.streams.close()
	return nil
}
