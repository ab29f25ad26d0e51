package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"syscall"

	"github.com/elastipod/elastipod/cms/client"
	"github.com/elastipod/elastipod/cms/wire"
)

// explain says what went wrong and what to do next.
func (a *app) explain(err error) string {
	var refused *client.Error
	var network net.Error
	switch {
	case errors.As(err, &refused):
		return a.explainProblem(refused)
	case errors.As(err, new(tokenError)):
		text := strings.TrimPrefix(err.Error(), "client: ")
		if strings.HasSuffix(text, "or allow it") {
			text += " with --insecure"
		}
		return text
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("no server at %s; start one with \"go run ./examples/server\", or %s", a.server, a.another())
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return fmt.Sprintf("%s broke the connection off: %s; see that it is an elastipod server and runs, then try again", a.server, innermost(err))
	}
	if text := a.explainTLS(err); text != "" {
		return text
	}
	switch {
	case errors.As(err, &network) && network.Timeout():
		return fmt.Sprintf("%s does not answer: %s; see that it runs and is reached from here, or %s", a.server, innermost(err), a.another())
	case errors.As(err, new(*net.DNSError)), unreachable(err):
		return fmt.Sprintf("cannot reach %s: %s; %s", a.server, innermost(err), a.another())
	case errors.As(err, new(*json.SyntaxError)):
		return joined(err) + " Name another with --server or CLOUD_SERVER"
	}
	return joined(err)
}

// another says how to name another server.
func (a *app) another() string {
	if a.from.Server != "" {
		return "name another with --server, or another context with --context or \"cloud context use\""
	}
	return "name another with --server or CLOUD_SERVER"
}

// explainTLS says what to do about certificates, and where one side speaks TLS and
// the other does not; "" where it is neither.
func (a *app) explainTLS(err error) string {
	var name x509.HostnameError
	var bad x509.CertificateInvalidError
	secure := strings.Replace(a.server, "http://", "https://", 1)
	plain := strings.Replace(a.server, "https://", "http://", 1)
	switch {
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return fmt.Sprintf("the certificate of %s is signed by an authority that is not known here; name the authority's certificate with --ca", a.server)
	case errors.As(err, &name):
		return fmt.Sprintf("the certificate of %s is for another name: %s; use a name that it holds in --server", a.server, name.Error())
	case errors.As(err, &bad):
		return fmt.Sprintf("the certificate of %s is not valid: %s; renew it, and see that this machine's clock is right", a.server, bad.Error())
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, new(tls.RecordHeaderError)):
		if secure == a.server {
			return fmt.Sprintf("%s does not speak TLS; use --server %s", a.server, plain)
		}
	}
	return ""
}

func unreachable(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

func innermost(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// listedBy is how the server says where the names are.
var listedBy = regexp.MustCompile(`GET /v1/(?:pods/(\S+)/)?(pod|node|host)s lists them$`)

func (a *app) explainProblem(p *client.Error) string {
	detail := p.Problem.Detail
	foreign := strings.Contains(detail, "is it an elastipod server?")
	switch {
	case p.Problem.Status == 400 && foreign && strings.HasPrefix(a.server, "http://"):
		text, _, _ := strings.Cut(detail, "; is it")
		return fmt.Sprintf("%s; it may speak TLS: try --server %s", text, strings.Replace(a.server, "http://", "https://", 1))
	case foreign:
		return detail + " Name another with --server or CLOUD_SERVER"
	case p.Problem.Status == 401:
		return a.explainToken()
	case p.Problem.Status == 403:
		return detail + "; use another token, with CLOUD_TOKEN, --token-file or --context (\"cloud whoami\" says whose it is)"
	case p.Problem.Status == 404 && strings.HasPrefix(detail, "there is nothing at "), p.Problem.Status == 405:
		return fmt.Sprintf("%s does not know %s %s; it may be older than this command: see \"cloud version\"", a.server, p.Method, p.Path)
	case p.Problem.Status == 404:
		if m := listedBy.FindStringSubmatch(detail); m != nil {
			return strings.TrimSuffix(detail, m[0]) + fmt.Sprintf("%q lists them", strings.TrimSpace("cloud "+m[2]+" ls "+m[1]))
		}
	}
	if len(p.Problem.Errors) > 0 {
		texts := make([]string, len(p.Problem.Errors))
		for i, f := range p.Problem.Errors {
			texts[i] = faultText(f)
		}
		return strings.Join(texts, " | ")
	}
	return detail
}

// explainToken says whether a token was sent, and where it came from.
func (a *app) explainToken() string {
	var from string
	switch {
	case a.token != "":
		from = "--token"
	case a.tokenFile != "":
		from = "--token-file " + a.tokenFile
	case a.from.secretSource() != "":
		from = "the context, " + a.from.secretSource()
	case os.Getenv("CLOUD_TOKEN") != "":
		from = "CLOUD_TOKEN"
	default:
		return fmt.Sprintf("%s asks for a token; set CLOUD_TOKEN, or use --token-file or a context (\"cloud context add\")", a.server)
	}
	return fmt.Sprintf("%s does not know the token of %s; it may have been taken back: set CLOUD_TOKEN, or use --token-file or another --context", a.server, from)
}

func faultText(f wire.Fault) string {
	text := strings.TrimSpace(f.Path + " " + f.Problem)
	if f.Path != "" {
		text = f.Path + ": " + f.Problem
	}
	if f.Allowed != "" {
		text += "; " + f.Allowed
	}
	return text
}

// noSuch says that there is no such thing, and which one may have been meant.
func noSuch(kind, name string, known []string, where string) error {
	text := fmt.Sprintf("no %s %q", kind, name)
	if where != "" {
		text += " " + where
	}
	create := map[string]string{
		"pod":     `; create the default ones with "cloud init", or your own with "cloud pod register"`,
		"host":    `; add it with "cloud host add"`,
		"context": `; add one with "cloud context add"`,
	}
	near := nearest(name, known)
	switch {
	case near != "":
		return fmt.Errorf("%s; did you mean %q?", text, near)
	case len(known) == 0:
		return errors.New(text + "; there is none yet" + create[kind])
	case len(known) > 12:
		return fmt.Errorf("%s; there are %d, %q to %q", text, len(known), known[0], known[len(known)-1])
	case len(known) == 1:
		return fmt.Errorf("%s; there is only %q", text, known[0])
	}
	return fmt.Errorf("%s; there are %s", text, quoted(known))
}
