package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"syscall"

	"github.com/elastipod/elastipod/cms/client"
	"github.com/elastipod/elastipod/cms/wire"
)

// explain says what went wrong and what to do next.
func (a *app) explain(ctx context.Context, err error) string {
	var refused *client.Error
	switch {
	case errors.As(err, &refused):
		return a.explainProblem(ctx, refused)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("no server at %s; start one with \"go run ./examples/server\", or name another with --server or CLOUD_SERVER", a.server)
	case errors.As(err, new(*net.DNSError)), unreachable(err):
		return fmt.Sprintf("cannot reach %s: %s; name another server with --server or CLOUD_SERVER", a.server, innermost(err))
	}
	return joined(err)
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

func (a *app) explainProblem(ctx context.Context, p *client.Error) string {
	switch p.Problem.Status {
	case 401:
		return fmt.Sprintf("%s wants a token that it knows; set CLOUD_TOKEN or --token-file", a.server)
	case 404:
		if text := a.explainMissing(ctx, p.Path); text != "" {
			return text
		}
	}
	if len(p.Problem.Errors) > 0 {
		texts := make([]string, len(p.Problem.Errors))
		for i, f := range p.Problem.Errors {
			texts[i] = faultText(f)
		}
		return strings.Join(texts, " | ")
	}
	return p.Problem.Detail
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

// explainMissing finds out which part of a path does not exist, and what may
// have been meant.
func (a *app) explainMissing(ctx context.Context, path string) string {
	c, err := a.client()
	if err != nil {
		return ""
	}
	parts := strings.Split(strings.TrimPrefix(path, "/v1/"), "/")
	for i, p := range parts {
		if parts[i], err = url.PathUnescape(p); err != nil {
			return ""
		}
	}
	if len(parts) < 2 {
		return ""
	}
	switch parts[0] {
	case "pods":
		pods, err := podNames(ctx, c, nil)
		if err != nil {
			return ""
		}
		if !slices.Contains(pods, parts[1]) {
			return noSuch("pod", parts[1], pods, "").Error()
		}
		if len(parts) >= 4 && parts[2] == "nodes" {
			nodes, err := nodeNames(ctx, c, []string{parts[1]})
			if err != nil {
				return ""
			}
			if slices.Contains(nodes, parts[3]) {
				return "" // something of the node is missing, and the server says what
			}
			return noSuch("node", parts[3], nodes, "in pod "+parts[1]).Error()
		}
	case "hosts":
		hosts, err := hostNames(ctx, c, nil)
		if err != nil {
			return ""
		}
		return noSuch("host", parts[1], hosts, "").Error()
	}
	return ""
}

// noSuch says that there is no such thing, and which one may have been meant.
func noSuch(kind, name string, known []string, where string) error {
	text := fmt.Sprintf("no %s %q", kind, name)
	if where != "" {
		text += " " + where
	}
	create := map[string]string{
		"pod":     `; create the default ones with "cloud init", or your own with "cloud pod register"`,
		"node":    `; register one with "cloud register"`,
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
