package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/elastipod/elastipod/cms/wire"
)

// maxAnswer bounds how much of an answer is printed.
const maxAnswer = 1 << 20

// answer is what "cloud request" prints as JSON.
type answer struct {
	Pod     string       `json:"pod"`
	URL     string       `json:"url"`
	Status  int          `json:"status"`
	Seconds wire.Seconds `json:"seconds"`
	Header  http.Header  `json:"header"`
	Body    string       `json:"body"`
}

func (a *app) requestOnce(ctx context.Context, p wire.Pod, f requestFlags, target *url.URL, header http.Header) error {
	ctx, cancel := context.WithTimeout(ctx, f.limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, f.method, target.String(), strings.NewReader(f.data))
	if err != nil {
		return err
	}
	req.Header = header
	req.Host = header.Get("Host")
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	began := time.Now()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return a.unanswered(p, target, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return a.unanswered(p, target, fmt.Errorf("the answer broke off: %w", err))
	}
	lasted := time.Since(began)
	if a.json() {
		err = a.printJSON(answer{Pod: p.Name, URL: target.String(), Status: resp.StatusCode, Seconds: wire.SecondsOf(lasted), Header: resp.Header, Body: string(body)})
	} else {
		paint := green
		if resp.StatusCode >= 400 {
			paint = red
		}
		fmt.Fprintf(a.out, "%s in %s from %s\n", a.out.paint(paint, printable(resp.Status)), took(lasted), target)
		err = a.copyText(strings.NewReader(string(body)))
		if len(body) > 0 && body[len(body)-1] != '\n' {
			fmt.Fprintln(a.out)
		}
	}
	switch {
	case err != nil:
		return err
	case resp.StatusCode == http.StatusServiceUnavailable:
		return fmt.Errorf("pod %s answered %s: %s", p.Name, resp.Status, whyUnavailable(p))
	case resp.StatusCode >= 400:
		return fmt.Errorf("pod %s answered %s", p.Name, resp.Status)
	}
	return nil
}

// unanswered says why there was no answer, and what to do.
func (a *app) unanswered(p wire.Pod, target *url.URL, err error) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("pod %s did not answer in time on %s; see \"cloud node ls %s\", or wait longer with --request-timeout", p.Name, target.Host, p.Name)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nobody listens on %s, the front of pod %s; see that the balancer runs with \"cloud balancer\"%s", target.Host, p.Name, a.elsewhere(target))
	}
	return fmt.Errorf("request to pod %s on %s: %w", p.Name, target.Host, err)
}

// elsewhere is a hint for fronts that only the server's own machine reaches.
func (a *app) elsewhere(target *url.URL) string {
	if s, err := url.Parse(a.server); err == nil && loopback(target.Hostname()) && !loopback(s.Hostname()) {
		return "; it is a loopback address of the server's machine, so send the request there"
	}
	return ""
}

// whyUnavailable says what may be behind a 503.
func whyUnavailable(p wire.Pod) string {
	s := status(p)
	switch {
	case s.State == "paused":
		return fmt.Sprintf("it is paused; see \"cloud resume %s\"", p.Name)
	case s.Nodes.Online > 0:
		return fmt.Sprintf("its nodes are %s; see \"cloud balancer\"", countsText(s))
	case s.Nodes.New > 0 && !s.Elasticity.Enabled:
		return fmt.Sprintf("no node is online; start one with \"cloud launch %s\"", p.Name)
	}
	return fmt.Sprintf("no node is online (%s); see \"cloud node ls %s\"", countsText(s), p.Name)
}
