package haproxy

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
)

// node is a web server behind a front: "/" answers its name after 2 ms, "/hold"
// once released.
type node struct {
	name, addr string
	hits, held atomic.Int64
	hold       chan struct{}
	srv        *http.Server
}

func newNode(t testing.TB, name string) *node {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	n := &node{name: name, addr: l.Addr().String(), hold: make(chan struct{})}
	n.srv = &http.Server{Handler: n}
	var wg sync.WaitGroup
	wg.Go(func() { _ = n.srv.Serve(l) })
	t.Cleanup(func() { _ = n.srv.Close(); wg.Wait() })
	return n
}

func (n *node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.hits.Add(1)
	if r.URL.Path == "/hold" {
		n.held.Add(1)
		defer n.held.Add(-1)
		select {
		case <-n.hold:
		case <-r.Context().Done():
		}
	} else {
		time.Sleep(2 * time.Millisecond)
	}
	_, _ = io.WriteString(w, n.name)
}

func (n *node) server() balancer.Server { return balancer.Server{Name: n.name, Addr: n.addr} }

// load is open-loop: it sends at its rate, whatever the answers.
type load struct {
	stop         chan struct{}
	wg           sync.WaitGroup
	sent, failed atomic.Int64
	first        atomic.Pointer[string]
	client       *http.Client
}

// startLoad sends rate requests a second with the methods in turn, most of them
// on connections that are kept, some on new ones.
func startLoad(t testing.TB, listen string, rate int, methods ...string) *load {
	t.Helper()
	tr := &http.Transport{MaxIdleConnsPerHost: 64}
	l := &load{stop: make(chan struct{}), client: &http.Client{Transport: tr, Timeout: 10 * time.Second}}
	t.Cleanup(tr.CloseIdleConnections)
	l.wg.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(rate))
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-l.stop:
				return
			case <-tick.C:
				l.wg.Go(func() { l.send(listen, methods[i%len(methods)], i%10 == 0) })
			}
		}
	})
	return l
}

func (l *load) send(listen, method string, fresh bool) {
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader("payload")
	}
	req, err := http.NewRequest(method, "http://"+listen+"/", body)
	if err == nil {
		req.Close = fresh
		var resp *http.Response
		if resp, err = l.client.Do(req); err == nil {
			if _, err = io.Copy(io.Discard, resp.Body); err == nil && resp.StatusCode != http.StatusOK {
				err = fmt.Errorf("status %s", resp.Status)
			}
			_ = resp.Body.Close()
		}
	}
	l.sent.Add(1)
	if err != nil {
		l.failed.Add(1)
		s := method + ": " + err.Error()
		l.first.CompareAndSwap(nil, &s)
	}
}

// end stops the load and requires that nothing failed. It returns how many
// requests there were.
func (l *load) end(t testing.TB) int64 {
	t.Helper()
	close(l.stop)
	l.wg.Wait()
	first := ""
	if s := l.first.Load(); s != nil {
		first = *s
	}
	require.Zero(t, l.failed.Load(), "of %d requests; the first that failed: %s", l.sent.Load(), first)
	require.NotZero(t, l.sent.Load())
	return l.sent.Load()
}

// holdOne sends a request that stays, and returns a function that waits for its
// status.
func holdOne(t testing.TB, listen string, n *node) (wait func() (int, error)) {
	t.Helper()
	before := n.held.Load()
	type result struct {
		code int
		err  error
	}
	done := make(chan result, 1)
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	go func() {
		resp, err := (&http.Client{Transport: tr, Timeout: 60 * time.Second}).Get("http://" + listen + "/hold")
		if err != nil {
			done <- result{0, err}
			return
		}
		_, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		done <- result{resp.StatusCode, err}
	}()
	require.Eventually(t, func() bool { return n.held.Load() > before }, 5*time.Second, time.Millisecond)
	return func() (int, error) {
		r := <-done
		return r.code, r.err
	}
}
