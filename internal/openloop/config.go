// Package openloop sends HTTP requests at a rate of its own choosing, whatever
// the server does: an open loop, as the users of a service are. A slow server
// does not slow the load, and the time of a request counts from the moment at
// which it was meant to be sent, so that a stall shows in full (nothing is
// lost to "coordinated omission").
//
// Every request carries an id, and none is ever sent twice: what fails is
// counted as failed, by kind.
//
// The vegeta library does neither. With one connection and a server that takes
// 20 ms it sends 22 of the 50 requests that are due in half a second, and reports
// 46 ms for the slowest instead of 520 ms. Where a server cuts every fifth
// connection, net/http sends the requests again: the server sees 124 of 100, and
// vegeta reports that none failed.
package openloop

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"time"
)

// IDHeader is the header that carries a request's id.
const IDHeader = "X-Request-Id"

// Default values of a [Config].
const (
	DefaultTimeout     = 30 * time.Second
	DefaultMaxInFlight = 4096
)

const progressEvery = 200 * time.Millisecond

// Config says what is sent, and when. URL, one of Rate and Shape, and one of
// Duration and Requests are required.
type Config struct {
	// URL is an absolute http or https URL.
	URL string
	// Method defaults to GET.
	Method string
	// Header is added to every request. It cannot set [IDHeader].
	Header http.Header
	// Body is sent with every request.
	Body []byte

	// Rate is in requests a second.
	Rate float64
	// Shape is a rate that changes over time; it replaces Rate.
	Shape Shape
	// Poisson spaces requests at random, as independent users would, instead of
	// evenly; the mean rate is the same.
	Poisson bool

	// Duration bounds the time during which requests are sent.
	Duration time.Duration
	// Requests bounds how many are sent.
	Requests int
	// Stop ends the sending early when it is closed; requests in flight are
	// waited for.
	Stop <-chan struct{}

	// Timeout bounds each request, from the moment at which it was meant to be
	// sent to its last byte received.
	Timeout time.Duration
	// MaxInFlight bounds requests, and so connections, at a time. Those beyond it
	// wait here, on their own time.
	MaxInFlight int

	// IDPrefix begins every id, before a dash and the request's number from 1.
	// Default: 8 random hexadecimal digits.
	IDPrefix string
	// KeepIDs fills in [Result.OKIDs], and [Result.Failures] without a bound.
	KeepIDs bool

	// Progress is called every 200 ms, and once at the end, one call at a time.
	Progress func(Progress)
	// Observe is called for each request that has ended, one call at a time. It
	// should return quickly: the clock of the others runs.
	Observe func(Outcome)
}

func (c Config) withDefaults() Config {
	if c.Method == "" {
		c.Method = http.MethodGet
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.MaxInFlight == 0 {
		c.MaxInFlight = DefaultMaxInFlight
	}
	if c.IDPrefix == "" {
		c.IDPrefix = randomPrefix()
	}
	return c
}

// validate returns every fault of a configuration with its defaults filled in.
func (c Config) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("openloop: "+format, args...)) }
	if u, err := url.Parse(c.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		bad("URL: %.200q is not an http or https URL", c.URL)
	}
	if _, err := http.NewRequest(c.Method, "http://localhost/", nil); err != nil {
		bad("Method: %.40q is not a method", c.Method)
	}
	if c.Shape == nil && (math.IsNaN(c.Rate) || c.Rate <= 0 || c.Rate > maxRate) {
		bad("Rate: %v is out of range; use more than 0 and at most %d a second", c.Rate, int(maxRate))
	}
	if c.Shape != nil && c.Rate != 0 {
		bad("Rate: leave it out where there is a Shape")
	}
	if c.Duration < 0 || c.Requests < 0 {
		bad("Duration and Requests cannot be negative")
	}
	if c.Duration == 0 && c.Requests == 0 {
		bad("Duration: set it, or Requests: a load has an end")
	}
	if c.Timeout < 0 || c.MaxInFlight < 0 {
		bad("Timeout and MaxInFlight cannot be negative")
	}
	if c.Header.Get(IDHeader) != "" {
		bad("Header: %s is set for each request; use IDPrefix", IDHeader)
	}
	return errors.Join(errs...)
}
