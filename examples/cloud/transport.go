package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/elastipod/elastipod/cms/client"
)

const (
	// dialTimeout is how long a machine may take to take a connection.
	dialTimeout = 10 * time.Second
	// answerTimeout is how long a server may take to begin to answer. It answers
	// at once to what takes long, and adds a host within seconds.
	answerTimeout = time.Minute
)

// connect returns a client of the server that was resolved.
func (a *app) connect(token string) (*client.Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = (&net.Dialer{Timeout: dialTimeout}).DialContext
	// Asked to wait, the server answers when that is over.
	transport.ResponseHeaderTimeout = min(answerTimeout, a.timeout+2*time.Second)
	if a.ca != "" {
		pem, err := os.ReadFile(a.ca)
		if err != nil {
			return nil, fmt.Errorf("--ca: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--ca: there is no PEM certificate in %s; name the file of the authority that signed the server's", a.ca)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	c, err := client.New(client.Config{
		Server: a.server, Token: token, Insecure: a.insecure, UserAgent: "cloud/" + ownVersion(),
		HTTPClient: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // a token goes nowhere else
		},
	})
	if err != nil { // the address is right, so it is the token
		return nil, tokenError{err}
	}
	return c, nil
}

// tokenError says that a token cannot be sent.
type tokenError struct{ error }

func (e tokenError) Unwrap() error { return e.error }
