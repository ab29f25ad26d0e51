package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/internal/openloop"
)

// summary is what "cloud request --rate" prints as JSON. Times are in seconds.
type summary struct {
	Pod         string         `json:"pod"`
	URL         string         `json:"url"`
	Sent        int            `json:"sent"`
	OK          int            `json:"ok"`
	Failed      int            `json:"failed"`
	Success     float64        `json:"success"`
	Rate        float64        `json:"rate"`
	Throughput  float64        `json:"throughput"`
	Seconds     wire.Seconds   `json:"seconds"`
	Latency     latency        `json:"latency"`
	Lag         latency        `json:"lag"`
	Codes       map[string]int `json:"codes"`
	Errors      map[string]int `json:"errors"`
	Connections int            `json:"connections"`
	IDPrefix    string         `json:"id_prefix"`
}

type latency struct {
	Mean wire.Seconds `json:"mean"`
	P50  wire.Seconds `json:"p50"`
	P95  wire.Seconds `json:"p95"`
	P99  wire.Seconds `json:"p99"`
	Max  wire.Seconds `json:"max"`
}

func latencyOf(l openloop.Latency) latency {
	return latency{wire.SecondsOf(l.Mean), wire.SecondsOf(l.P50), wire.SecondsOf(l.P95), wire.SecondsOf(l.P99), wire.SecondsOf(l.Max)}
}

func (a *app) load(ctx context.Context, p wire.Pod, f requestFlags, target *url.URL, header http.Header) error {
	c := openloop.Config{
		URL:         target.String(),
		Method:      f.method,
		Header:      header,
		Body:        []byte(f.data),
		Rate:        f.rate,
		Poisson:     f.poisson,
		Duration:    f.duration,
		Requests:    f.count,
		Timeout:     f.limit,
		MaxInFlight: f.maxInFlight,
		// An interrupt ends the sending; what is in flight is waited for.
		Stop: ctx.Done(),
	}
	if f.ramp {
		c.Rate, c.Shape = 0, openloop.Ramp(f.rate, f.to, f.duration)
	}
	bar := a.loadBar(f)
	c.Progress = bar.show
	r, err := openloop.Run(context.WithoutCancel(ctx), c)
	bar.clear()
	if err != nil {
		return err
	}
	if a.json() {
		err = a.printJSON(summaryOf(p, target, r))
	} else {
		err = a.printSummary(p, target, r)
	}
	if err == nil && r.Failed > 0 {
		err = loadError(p, r)
	}
	return err
}

func summaryOf(p wire.Pod, target *url.URL, r openloop.Result) summary {
	s := summary{
		Pod: p.Name, URL: target.String(), Sent: r.Sent, OK: r.OK, Failed: r.Failed, Success: r.Success(),
		Rate: r.Rate, Throughput: r.Throughput, Seconds: wire.SecondsOf(r.Took),
		Latency: latencyOf(r.Latency), Lag: latencyOf(r.Lag),
		Codes: map[string]int{}, Errors: map[string]int{}, Connections: r.Connections, IDPrefix: r.IDPrefix,
	}
	for code, n := range r.Codes {
		s.Codes[strconv.Itoa(code)] = n
	}
	for kind, n := range r.Errors {
		s.Errors[string(kind)] = n
	}
	return s
}

func (a *app) printSummary(p wire.Pod, target *url.URL, r openloop.Result) error {
	paint := green
	if r.Failed > 0 {
		paint = red
	}
	line := func(name, format string, args ...any) {
		fmt.Fprintf(a.out, "%s %s\n", a.out.paint(bold, fmt.Sprintf("%-10s", name)), fmt.Sprintf(format, args...))
	}
	line("requests", "%d to %s in %s", r.Sent, target, took(r.Took))
	line("rate", "%.1f/s sent, %.1f/s answered", r.Rate, r.Throughput)
	line("success", "%s", a.out.paint(paint, successText(r)))
	line("latency", "p50 %s   p95 %s   p99 %s   max %s", took(r.Latency.P50), took(r.Latency.P95), took(r.Latency.P99), took(r.Latency.Max))
	var codes []string
	for _, code := range slices.Sorted(maps.Keys(r.Codes)) {
		codes = append(codes, fmt.Sprintf("%d: %d", code, r.Codes[code]))
	}
	if len(codes) > 0 {
		line("codes", "%s", strings.Join(codes, "   "))
	}
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(r.Errors)) {
		kinds = append(kinds, fmt.Sprintf("%s: %d", kind, r.Errors[kind]))
	}
	if len(kinds) > 0 {
		line("errors", "%s", strings.Join(kinds, "   "))
	}
	if r.Lag.P99 > 20*time.Millisecond && r.Lag.P99*4 > r.Latency.P99 {
		line("note", "requests were sent up to %s late: this machine, or --max-in-flight, was the bottleneck", took(r.Lag.Max))
	}
	return nil
}

// successText never rounds a loss away.
func successText(r openloop.Result) string {
	if r.Failed == 0 {
		return fmt.Sprintf("100%% (%d of %d)", r.OK, r.Sent)
	}
	return fmt.Sprintf("%.2f%% (%d failed of %d)", min(100*r.Success(), 99.99), r.Failed, r.Sent)
}

func loadError(p wire.Pod, r openloop.Result) error {
	first := r.Failures[0]
	what := "answered " + strconv.Itoa(first.Code)
	if first.Err != nil {
		what = string(first.Kind) + ": " + first.Err.Error()
	}
	hint := fmt.Sprintf("see \"cloud why %s\" and \"cloud node ls %s\"", p.Name, p.Name)
	if first.Code == http.StatusServiceUnavailable && first.Err == nil {
		hint = whyUnavailable(p)
	}
	return fmt.Errorf("%d of %d requests failed, the first with %s; %s", r.Failed, r.Sent, what, hint)
}

// loadBar shows how far a load is, on the terminal of a person.
type loadBar struct {
	a     *app
	bar   *progressbar.ProgressBar
	flags requestFlags
}

func (a *app) loadBar(f requestFlags) *loadBar {
	b := &loadBar{a: a, flags: f}
	if a.err.terminal {
		b.bar = progressbar.NewOptions(1000,
			progressbar.OptionSetWriter(a.err),
			progressbar.OptionSetWidth(20),
			progressbar.OptionEnableColorCodes(false),
			progressbar.OptionSetPredictTime(false),
			progressbar.OptionClearOnFinish(),
			progressbar.OptionUseANSICodes(true),
		)
	}
	return b
}

func (b *loadBar) show(p openloop.Progress) {
	if b.bar == nil || p.Done {
		return
	}
	share := 0.0
	if b.flags.duration > 0 {
		share = float64(p.Elapsed) / float64(b.flags.duration)
	}
	if b.flags.count > 0 {
		share = max(share, float64(p.Sent)/float64(b.flags.count))
	}
	text := fmt.Sprintf("%.0f/s  %d ok  %d failed  %d in flight  p99 %s", p.Rate, p.OK, p.Failed, p.InFlight, took(p.Latency.P99))
	b.bar.Describe(cut(text, max(b.a.err.width()-30, 20)))
	_ = b.bar.Set(int(min(share, 0.999) * 1000))
}

func (b *loadBar) clear() {
	if b.bar != nil {
		_ = b.bar.Clear()
	}
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}
