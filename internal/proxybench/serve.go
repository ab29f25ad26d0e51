package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/inproc"
)

// serve is a backend or a proxy, until standard input ends.
func serve(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("serve", flag.ContinueOnError)
	kind := fs.String("kind", "", "bare, nethttp, httputil or inproc")
	size := fs.Int("size", 2, "bytes of an answer")
	backends := fs.String("backends", "", "addresses, comma-separated")
	profile := fs.String("cpuprofile", "", "file")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	body := strings.Repeat("x", *size)
	switch *kind {
	case "bare":
		go bare(l, body)
	case "nethttp":
		go func() {
			_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }))
		}()
	case "httputil":
		go func() { _ = http.Serve(l, tuned(strings.Split(*backends, ","))) }()
	case "inproc":
		_ = l.Close()
		b, err := inProcess(ctx, l.Addr().String(), strings.Split(*backends, ","))
		if err != nil {
			return err
		}
		defer func() { _ = b.Close() }()
	default:
		return fmt.Errorf("unknown kind %q", *kind)
	}
	fmt.Fprintln(out, l.Addr())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// bare answers every request head with the same bytes: as little work as a
// backend can have.
func bare(l net.Listener, body string) {
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: " + time.Now().UTC().Format(http.TimeFormat) + "\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = c.Close() }()
			buf := make([]byte, 4<<10)
			n := 0
			for {
				m, err := c.Read(buf[n:])
				if err != nil {
					return
				}
				n += m
				if bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
					n = 0
					if _, err := c.Write(answer); err != nil {
						return
					}
				}
			}
		}()
	}
}

// pool is a httputil.BufferPool.
type pool struct{ sync.Pool }

func (p *pool) Get() []byte { return p.Pool.Get().([]byte) }

//lint:ignore SA6002 the interface wants a slice
func (p *pool) Put(b []byte) { p.Pool.Put(b) }

// tuned is a httputil.ReverseProxy with what is known to make it fast: many
// idle connections, no compression, no HTTP/2, and buffers that are used again.
func tuned(backends []string) http.Handler {
	var urls []*url.URL
	for _, b := range backends {
		urls = append(urls, &url.URL{Scheme: "http", Host: b})
	}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(urls[rand.IntN(len(urls))])
			r.SetXForwarded()
		},
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: time.Second}).DialContext,
			MaxIdleConnsPerHost: 1024,
			IdleConnTimeout:     time.Minute,
			DisableCompression:  true,
			ReadBufferSize:      16 << 10,
		},
		ErrorLog:   slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // of clients that end
		BufferPool: &pool{sync.Pool{New: func() any { return make([]byte, 32<<10) }}},
	}
}

func inProcess(ctx context.Context, listen string, backends []string) (*inproc.Balancer, error) {
	b, err := inproc.New(inproc.Config{})
	if err != nil {
		return nil, err
	}
	if err := b.SetFront(ctx, balancer.Front{Name: "bench", Listen: listen}); err != nil {
		return nil, err
	}
	var servers []balancer.Server
	for i, addr := range backends {
		servers = append(servers, balancer.Server{Name: "n" + strconv.Itoa(i), Addr: addr})
	}
	return b, b.Apply(ctx, "bench", servers)
}
