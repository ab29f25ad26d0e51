package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/elastipod/elastipod/cms/client"
	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/internal/openloop"
)

// requestFlags say what is sent, and how often.
type requestFlags struct {
	front   string
	path    string
	method  string
	headers []string
	data    string
	limit   time.Duration

	rate        float64
	to          float64
	ramp        bool // to was given
	duration    time.Duration
	count       int
	poisson     bool
	maxInFlight int
}

const defaultDuration = 30 * time.Second

func (a *app) requestCommand() *cobra.Command {
	var f requestFlags
	cmd := &cobra.Command{
		Use:   "request POD",
		Short: "Send a request, or load, to a pod",
		Long: `Send one request to a pod through its front, as its users do, and print the answer.

With --rate, send load instead: that many requests a second, evenly (or at random moments, with
--poisson), whatever the pod does: slow answers do not slow the load. Response times count from the
moment at which a request was meant to be sent, and no request is ever repeated: one that fails is
counted as failed. It exits with 1 if any failed. Interrupt it to end it early, with its summary.`,
		Example: `  cloud request light
  cloud request web --path '/work?cpu=20ms' -o json
  cloud request medium --rate 50 --for 30s
  cloud request medium --rate 10 --to 200 --for 2m --poisson`,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.front, "front", "", "name of the front, where the pod has more (default: the one named like the pod, or the first)")
	flags.StringVar(&f.path, "path", "/", "path and query")
	flags.StringVarP(&f.method, "method", "X", "", "method (default GET, or POST with --data)")
	flags.StringArrayVarP(&f.headers, "header", "H", nil, "NAME: VALUE of a header; repeat it")
	flags.StringVarP(&f.data, "data", "d", "", "body")
	flags.DurationVar(&f.limit, "request-timeout", openloop.DefaultTimeout, "how long a request may take")
	flags.Float64Var(&f.rate, "rate", 0, "send this many requests a second")
	flags.Float64Var(&f.to, "to", 0, "with --rate: go evenly to this rate until the end")
	flags.DurationVar(&f.duration, "for", 0, "with --rate: for how long (default 30s)")
	flags.IntVar(&f.count, "count", 0, "with --rate: how many requests at most")
	flags.BoolVar(&f.poisson, "poisson", false, "with --rate: at random moments, as independent users would")
	flags.IntVar(&f.maxInFlight, "max-in-flight", openloop.DefaultMaxInFlight, "with --rate: how many connections at most")
	must(cmd.RegisterFlagCompletionFunc("front", func(cmd *cobra.Command, args []string, given string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return a.completeFlag(func(ctx context.Context, c *client.Client, _ []string) ([]cobra.Completion, error) {
			if len(args) == 0 {
				return frontNames(ctx, c, nil)
			}
			p, err := c.Pod(ctx, args[0])
			return frontsOf(p), err
		})(cmd, args, given)
	}))
	must(cmd.RegisterFlagCompletionFunc("method", fixed("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")))
	return a.onPod(cmd, func(ctx context.Context, c *client.Client, args []string) error {
		header, err := f.check(cmd.Flags().Changed)
		if err != nil {
			return err
		}
		p, err := c.Pod(ctx, args[0])
		if err != nil {
			return err
		}
		target, err := f.target(p, a.server)
		if err != nil {
			return err
		}
		if f.rate > 0 {
			return a.load(ctx, p, f, target, header)
		}
		return a.requestOnce(ctx, p, f, target, header)
	})
}

// check finds what is wrong with the flags, and returns the headers.
func (f *requestFlags) check(changed func(string) bool) (http.Header, error) {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if changed("rate") && !(f.rate > 0 && f.rate <= 1e6) {
		bad("--rate %v: use more than 0 and at most 1000000 requests a second", f.rate)
	}
	for _, flag := range []string{"to", "for", "count", "poisson", "max-in-flight"} {
		if changed(flag) && !changed("rate") {
			bad("--%s says how load is sent; give --rate too", flag)
		}
	}
	if changed("to") && !(f.to >= 0 && f.to <= 1e6) {
		bad("--to %v: use 0 to 1000000 requests a second", f.to)
	}
	if changed("for") && f.duration <= 0 {
		bad("--for %s: use a duration above 0", f.duration)
	}
	if changed("count") && f.count < 1 {
		bad("--count %d: use at least 1", f.count)
	}
	if f.maxInFlight < 1 {
		bad("--max-in-flight %d: use at least 1", f.maxInFlight)
	}
	if f.limit <= 0 {
		bad("--request-timeout %s: use a duration above 0", f.limit)
	}
	if u, err := url.ParseRequestURI(f.path); err != nil || !strings.HasPrefix(f.path, "/") || u.Host != "" {
		bad("--path %q is not a path; use one such as /work", f.path)
	}
	header := http.Header{}
	for _, s := range f.headers {
		name, value, ok := strings.Cut(s, ":")
		if !ok || strings.TrimSpace(name) == "" || strings.ContainsAny(name, " \t") {
			bad("--header %q is not NAME: VALUE", s)
			continue
		}
		if http.CanonicalHeaderKey(name) == openloop.IDHeader {
			bad("--header %s: it is set for every request", openloop.IDHeader)
			continue
		}
		header.Add(name, strings.TrimSpace(value))
	}
	if f.method == "" {
		f.method = http.MethodGet
		if changed("data") {
			f.method = http.MethodPost
		}
	}
	if _, err := http.NewRequest(f.method, "http://localhost/", nil); err != nil {
		bad("--method %q is not a method; use one such as GET or POST", f.method)
	}
	// A count says when the load ends, unless a ramp needs to know its length.
	f.ramp = changed("to")
	if !changed("for") && (f.count == 0 || f.ramp) {
		f.duration = defaultDuration
	}
	if len(errs) > 0 {
		return nil, usageError{errors.Join(errs...)}
	}
	return header, nil
}

// target returns the URL of the pod's front.
func (f *requestFlags) target(p wire.Pod, server string) (*url.URL, error) {
	if len(p.Fronts) == 0 {
		return nil, fmt.Errorf("pod %s has no front, so it takes no requests; create it with --front", p.Name)
	}
	front, all := p.Fronts[0], []string{}
	found := f.front == ""
	for _, x := range p.Fronts {
		all = append(all, x.Name)
		if f.front == x.Name || f.front == "" && x.Name == p.Name {
			front, found = x, true
		}
	}
	if !found {
		return nil, noSuch("front", f.front, all, "of pod "+p.Name)
	}
	u, err := url.Parse(f.path)
	if err != nil {
		return nil, err
	}
	u.Scheme, u.Host = "http", front.Listen
	// A front on every address is reached where the server is.
	if a, err := netip.ParseAddrPort(front.Listen); err == nil && a.Addr().IsUnspecified() {
		if s, err := url.Parse(server); err == nil {
			u.Host = net.JoinHostPort(s.Hostname(), fmt.Sprint(a.Port()))
		}
	}
	return u, nil
}
