// Command proxybench compares balancer/inproc with httputil.ReverseProxy on a
// tuned transport: the same wrk, the same backends, keep-alive, one after the
// other in pairs. Backends and proxies are processes of their own, so that
// their CPU time is known. It needs wrk (Debian package wrk).
//
//	go run ./internal/proxybench -pairs 3 -duration 5s
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "proxybench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) > 0 && args[0] == "serve" {
		return serve(ctx, args[1:], out)
	}
	fs := flag.NewFlagSet("proxybench", flag.ContinueOnError)
	pairs := fs.Int("pairs", 3, "runs of each proxy, in turn")
	duration := fs.Duration("duration", 5*time.Second, "of one run")
	conns := fs.Int("connections", 64, "that wrk keeps open")
	sizes := fs.String("sizes", "2,10240", "bytes of an answer, comma-separated")
	kinds := fs.String("proxies", "httputil,inproc", "to compare, the first is the measure")
	backend := fs.String("backend", "bare", "what answers: bare (a loop on sockets) or nethttp")
	profile := fs.String("cpuprofile", "", "file for a CPU profile of inproc")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if _, err := exec.LookPath("wrk"); err != nil {
		return errors.New("wrk is missing: install the Debian package wrk")
	}
	for _, size := range strings.Split(*sizes, ",") {
		b := bench{kinds: strings.Split(*kinds, ","), pairs: *pairs, duration: *duration, conns: *conns, size: size, backend: *backend, profile: *profile, out: out}
		if err := b.run(ctx); err != nil {
			return err
		}
	}
	return nil
}

// bench is the comparison at one size.
type bench struct {
	kinds    []string
	pairs    int
	duration time.Duration
	conns    int
	size     string
	backend  string
	profile  string
	out      io.Writer
}

// result is what one run came to.
type result struct {
	rate float64 // requests a second
	cpu  float64 // CPU seconds of the proxy per 100,000 requests
	p99  string
}

func (b *bench) run(ctx context.Context) error {
	var addrs []string
	for range 4 {
		p, err := start(ctx, "-kind", b.backend, "-size", b.size)
		if err != nil {
			return err
		}
		defer p.end()
		addrs = append(addrs, p.addr)
	}
	results := map[string][]result{}
	for i := range b.pairs {
		for _, kind := range b.kinds {
			r, err := b.measure(ctx, kind, addrs)
			if err != nil {
				return fmt.Errorf("%s: %w", kind, err)
			}
			results[kind] = append(results[kind], r)
			fmt.Fprintf(b.out, "%s bytes, run %d, %-9s %8.0f requests/s, %.2f CPU-s per 100k, p99 %s\n", b.size, i+1, kind, r.rate, r.cpu, r.p99)
		}
	}
	base := median(results[b.kinds[0]], func(r result) float64 { return r.rate })
	for _, kind := range b.kinds {
		rate := median(results[kind], func(r result) float64 { return r.rate })
		cpu := median(results[kind], func(r result) float64 { return r.cpu })
		fmt.Fprintf(b.out, "%s bytes, median, %-9s %8.0f requests/s, %.2f CPU-s per 100k, %.2f × %s\n", b.size, kind, rate, cpu, rate/base, b.kinds[0])
	}
	return nil
}

func median(rs []result, of func(result) float64) float64 {
	var v []float64
	for _, r := range rs {
		v = append(v, of(r))
	}
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

var (
	rateRE  = regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`)
	totalRE = regexp.MustCompile(`(\d+) requests in`)
	p99RE   = regexp.MustCompile(`(?m)^\s+99%\s+(\S+)`)
	badRE   = regexp.MustCompile(`(?m)^\s*(Socket errors|Non-2xx).*$`)
)

func (b *bench) measure(ctx context.Context, kind string, backends []string) (result, error) {
	args := []string{"-kind", kind, "-backends", strings.Join(backends, ",")}
	if kind == "inproc" && b.profile != "" {
		args = append(args, "-cpuprofile", b.profile)
	}
	var target string
	var p *process
	if kind == "direct" {
		target = backends[0]
	} else {
		var err error
		if p, err = start(ctx, args...); err != nil {
			return result{}, err
		}
		defer p.end()
		target = p.addr
	}
	text, err := exec.CommandContext(ctx, "wrk", "-t2", "-c", strconv.Itoa(b.conns), "-d", fmt.Sprintf("%.0fs", b.duration.Seconds()), "--latency", "http://"+target+"/").CombinedOutput()
	if err != nil {
		return result{}, fmt.Errorf("wrk: %w: %s", err, text)
	}
	if bad := badRE.Find(text); bad != nil {
		return result{}, fmt.Errorf("requests failed: %s", bad)
	}
	rate, total, p99 := rateRE.FindSubmatch(text), totalRE.FindSubmatch(text), p99RE.FindSubmatch(text)
	if rate == nil || total == nil || p99 == nil {
		return result{}, fmt.Errorf("wrk said: %s", text)
	}
	r := result{p99: string(p99[1])}
	r.rate, _ = strconv.ParseFloat(string(rate[1]), 64)
	if p != nil {
		n, _ := strconv.ParseFloat(string(total[1]), 64)
		r.cpu = p.end().Seconds() / n * 100_000
	}
	return r, nil
}

// process is this program, serving.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	addr  string
	used  time.Duration
}

// start starts this program as a server, which prints its address and ends
// when its standard input does.
func start(ctx context.Context, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, append([]string{"serve"}, args...)...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, stdin: in}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		p.end()
		return nil, fmt.Errorf("%v did not start", args)
	}
	p.addr = strings.TrimSpace(line)
	return p, nil
}

// end ends the process and returns the CPU time that it used.
func (p *process) end() time.Duration {
	if p.stdin != nil {
		_ = p.stdin.Close()
		_ = p.cmd.Wait()
		p.stdin = nil
		p.used = p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
	}
	return p.used
}
