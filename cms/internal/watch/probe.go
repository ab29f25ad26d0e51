package watch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/elastipod/elastipod/cms/internal/faults"
	"github.com/elastipod/elastipod/pod"
)

// firstProbe is the pause after the first failed try; it doubles up to the
// probe's interval, so that a quick node is found ready quickly.
const firstProbe = 2 * time.Millisecond

// Prober returns the function that probes a node once; nil where there is
// nothing to probe. health says what the image's own check says.
func Prober(p pod.Probe, endpoints map[string]string, health func() (pod.Health, bool)) (func(context.Context) error, error) {
	switch p.Kind {
	case pod.ProbeNone:
		return nil, nil
	case pod.ProbeHealthcheck:
		return func(context.Context) error {
			switch h, known := health(); {
			case known && h == pod.HealthGood:
				return nil
			case known && h == pod.HealthUnhealthy:
				return errors.New("its HEALTHCHECK says unhealthy")
			}
			return errors.New("its HEALTHCHECK has not passed yet")
		}, nil
	}
	addr, ok := endpoints[p.Port]
	if !ok {
		return nil, fmt.Errorf("%w: node has no endpoint for port %q", faults.ErrNotReady, p.Port)
	}
	return func(ctx context.Context) error { return probe(ctx, p, addr) }, nil
}

// AwaitReady tries until a try passes. It returns an error when the deadline
// passes, when ended reports that the node is gone, or when ctx ends.
func AwaitReady(ctx context.Context, p pod.Probe, try func(context.Context) error, ended func() error) error {
	if try == nil {
		return nil
	}
	deadline := time.NewTimer(p.StartDeadline)
	defer deadline.Stop()
	pause := min(firstProbe, p.Interval)
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		if end := ended(); end != nil {
			return end
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline.C:
			return fmt.Errorf("%w: not ready after %s: %s", faults.ErrNotReady, p.StartDeadline, faults.Of(err).Text)
		case <-time.After(pause):
		}
		pause = min(2*pause, p.Interval)
	}
}

// probe tries once over the network.
func probe(ctx context.Context, p pod.Probe, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	if p.Kind == pod.ProbeTCP {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+p.Path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "elastipod-probe")
	req.Close = true
	resp, err := probeClient.Do(req)
	if err != nil {
		return err
	}
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if resp.StatusCode < 200 || resp.StatusCode > 399 {
		return fmt.Errorf("GET %s answered %s", p.Path, resp.Status)
	}
	return nil
}

// probeClient keeps no connections, uses no proxy and follows no redirects: a
// redirect is an answer.
var probeClient = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}
