package apifuzz

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer/balancertest"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/api"
	"github.com/elastipod/elastipod/cms/cmstest"
	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/internal/invariant"
	"github.com/elastipod/elastipod/internal/invariant/fakes"
	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/podtest"
)

var (
	hostileRequests = flag.Int("hostile.requests", 8000, "how many hostile requests are sent")
	hostileSeed     = flag.Uint64("hostile.seed", 1, "the same makes the same requests, in the same order within a worker")
)

const (
	workers  = 16                    // send at a time
	patience = 20 * time.Millisecond // of a client that waits or follows
	hangs    = time.Minute           // an answer that takes longer
)

// TestHostileRequests sends hostile requests to the API of a manager that works
// on fakes, many at a time. It fails where an answer is a 5xx, is no problem where
// it refuses, or has a status that is not documented; where the server panics or
// logs an error; where an invariant does not hold, meanwhile or at the end; or
// where goroutines or descriptors are left.
func TestHostileRequests(t *testing.T) {
	t.Logf("seed %d", *hostileSeed)
	goroutines, descriptors := runtime.NumGoroutine(), open(t)
	r := begin(t)
	begun := time.Now()
	var sending sync.WaitGroup
	for i := range workers {
		sending.Go(func() {
			g := New(r.doc, *hostileSeed, uint64(i))
			for range *hostileRequests / workers {
				if t.Failed() {
					return
				}
				r.one(g.Next())
			}
		})
	}
	watched := make(chan struct{})
	stop := make(chan struct{})
	go func() {
		defer close(watched)
		r.watch(stop)
	}()
	sending.Wait()
	close(stop)
	<-watched
	took := time.Since(begun)
	r.rest()
	r.end()
	t.Logf("%d requests in %s (%.0f/s), answered: %s", *hostileRequests, took.Round(time.Millisecond), float64(*hostileRequests)/took.Seconds(), r.answers())
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > goroutines && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	assert.LessOrEqual(t, runtime.NumGoroutine(), goroutines, "goroutines")
	assert.LessOrEqual(t, open(t), descriptors, "descriptors")
	for _, must := range []int{200, 201, 202, 400, 404, 405, 409, 413, 415, 422} {
		assert.NotZero(t, r.statuses[must].Load(), "no request was answered %d: the run proves little", must)
	}
}

// open counts the descriptors of this process.
func open(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(entries)
}

type run struct {
	t        *testing.T
	world    fakes.World
	api      *api.API
	doc      *Document
	stop     func()
	statuses [600]atomic.Int64
	unread   atomic.Int64 // requests that net/http itself refuses
	log      *errorLog
}

// hosts are the machines that there are; others do not answer.
var hosts = []string{"a", "b", "web"}

func begin(t *testing.T) *run {
	r := &run{t: t, log: &errorLog{}}
	r.world = fakes.World{Hosts: map[string]*podtest.FakeHost{}, Balancer: balancertest.NewFake(), Store: cmstest.NewStore()}
	for _, name := range hosts {
		h := podtest.NewFakeHost()
		h.Capacity = pod.Resources{CPU: 4, Memory: 1 << 30}
		h.SetStartDelay(time.Millisecond)
		r.world.Hosts[name] = h
	}
	m, err := cms.New(cms.Config{
		Store: r.world.Store, Balancer: r.world.Balancer, Tick: 50 * time.Millisecond, Hosts: []pod.Host{{Name: "a", Runtime: "fake"}}, Logger: slog.New(r.log),
		DefaultPods: []cms.PodSpec{{Spec: pod.Spec{Name: "light", Workload: pod.Workload{Command: []string{"/web"}}}, Fronts: []cms.Front{}}},
		OpenRuntime: func(_ context.Context, h pod.Host, c pod.Cluster) (pod.Runtime, error) {
			if fake := r.world.Hosts[h.Name]; fake != nil {
				return fake.Open(c), nil
			}
			return nil, fmt.Errorf("open: %w", pod.ErrUnreachable)
		},
	})
	require.NoError(t, err)
	r.world.Manager = m
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	<-m.Ready()
	r.api, err = api.New(api.Config{
		Manager: m, Logger: slog.New(r.log), Heartbeat: 50 * time.Millisecond,
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = w.Write([]byte("up 1\n"))
		}),
		Reload: func(context.Context, bool) (wire.Reload, error) { return wire.Reload{}, nil },
		Audit:  func(api.AuditEntry) {},
	})
	require.NoError(t, err)
	r.stop = func() {
		assert.NoError(t, r.api.Close())
		cancel()
		assert.NoError(t, <-ended)
	}
	w := httptest.NewRecorder()
	r.api.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost/openapi.json", nil))
	require.Equal(t, http.StatusOK, w.Code)
	r.doc, err = Parse(w.Body.Bytes())
	require.NoError(t, err)
	require.Greater(t, len(r.doc.Operations), 35)
	return r
}

// one sends a request, and finds the least part of it that is answered as badly
// where it is.
func (r *run) one(q Request) {
	bad := r.send(q)
	if bad == nil {
		return
	}
	least := Shrink(q, func(q Request) bool { return r.send(q) != nil })
	r.t.Errorf("%v\nto: %s\nas small as it gets: %s", bad, q, least)
}

// send says what is wrong with the answer to a request.
func (r *run) send(q Request) error {
	request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(q.Bytes())))
	if err != nil {
		r.unread.Add(1) // the server answers 400 before there is a handler
		return nil
	}
	waits := strings.HasPrefix(request.URL.Path, "/v1/events") || strings.Contains(request.URL.RawQuery, "wait=") || strings.Contains(request.URL.RawQuery, "follow")
	limit := hangs
	if waits {
		limit = patience
	}
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), http.LocalAddrContextKey, net.Addr(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})), limit)
	defer cancel()
	w := httptest.NewRecorder()
	if err := r.serve(w, request.WithContext(ctx)); err != nil {
		return err
	}
	if ctx.Err() != nil {
		if !waits {
			return fmt.Errorf("no answer within %s", hangs)
		}
		return nil // its client has gone
	}
	r.statuses[min(w.Code, 599)].Add(1)
	return wrong(q, request, w)
}

// serve answers a request, with a panic as an error.
func (r *run) serve(w http.ResponseWriter, request *http.Request) (err error) {
	defer func() {
		if v := recover(); v != nil && (v != http.ErrAbortHandler || request.Context().Err() == nil) { //nolint:errorlint // as net/http compares it
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	r.api.Handler().ServeHTTP(w, request)
	return nil
}

// wrong says what is wrong with an answer.
func wrong(q Request, request *http.Request, w *httptest.ResponseRecorder) error {
	switch {
	case w.Code >= 500:
		return fmt.Errorf("answered %d: %.500s", w.Code, w.Body)
	case q.Op != nil && q.Op.Method == request.Method && !q.Op.Documented(w.Code) && w.Code != http.StatusNotFound && w.Code != http.StatusMovedPermanently && w.Code != http.StatusTemporaryRedirect:
		return fmt.Errorf("%s answered %d, which is not documented: %.500s", q.Op, w.Code, w.Body)
	case w.Code >= 400 && request.Method != http.MethodHead:
		var p wire.ProblemDetails
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
			return fmt.Errorf("answered %d with no problem: %w: %.500s", w.Code, err, w.Body)
		}
		if p.Status != w.Code || p.Detail == "" || w.Header().Get("Content-Type") != wire.ProblemType {
			return fmt.Errorf("answered %d with a bad problem: %.500s", w.Code, w.Body)
		}
		for _, err := range []error{pod.ErrUnreachable, pod.ErrForeign, pod.ErrUnsupported, pod.ErrImage, pod.ErrNotFound, cms.ErrStoreFull, cms.ErrStoreCorrupt} {
			if strings.Contains(p.Detail, err.Error()) {
				return fmt.Errorf("answered %d with a Go error: %.500s", w.Code, w.Body)
			}
		}
		if len(w.Body.Bytes()) > 256<<10 {
			return fmt.Errorf("answered %d with %d bytes", w.Code, w.Body.Len())
		}
	}
	return nil
}

// watch checks what holds at every moment.
func (r *run) watch(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(100 * time.Millisecond):
		}
		// A pod may change between what is asked of it and of its hosts; its own
		// bounds are in one picture.
		assert.NoError(r.t, invariant.Check(r.world.View(false)))
	}
}

// rest waits until nothing is on its way any more.
func (r *run) rest() {
	m := r.world.Manager
	for _, p := range m.Pods() { // what was sent may ask for an hour's drain, or a canary's pause of a day
		if p.State == cms.PodDeleting {
			continue
		}
		if _, err := m.DeletePod(context.Background(), p.Spec.Name); err != nil && !errors.Is(err, cms.ErrNotFound) {
			assert.NoError(r.t, err)
		}
	}
	look := func() error { return invariant.Check(r.world.View(true)) }
	if !assert.Eventually(r.t, func() bool { return look() == nil }, time.Minute, 50*time.Millisecond) {
		assert.NoError(r.t, look())
	}
	assert.Empty(r.t, m.Pods(), "all of them can be deleted")
	assert.Empty(r.t, r.world.Balancer.Fronts())
}

func (r *run) end() {
	r.stop()
	assert.Empty(r.t, r.log.lines(), "errors in the log")
}

func (r *run) answers() string {
	var parts []string
	for status := range r.statuses {
		if n := r.statuses[status].Load(); n > 0 {
			parts = append(parts, fmt.Sprintf("%d × %d", n, status))
		}
	}
	return strings.Join(append(parts, fmt.Sprintf("%d × by net/http", r.unread.Load())), ", ")
}

// errorLog keeps what is logged as an error.
type errorLog struct {
	mu  sync.Mutex
	all []string
}

func (l *errorLog) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}

// Enabled implements [slog.Handler].
func (l *errorLog) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }

// Handle implements [slog.Handler].
func (l *errorLog) Handle(_ context.Context, r slog.Record) error {
	line := r.Message
	r.Attrs(func(a slog.Attr) bool { line += fmt.Sprintf(" %s=%.300v", a.Key, a.Value); return true })
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, line)
	return nil
}

// WithAttrs implements [slog.Handler].
func (l *errorLog) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup implements [slog.Handler].
func (l *errorLog) WithGroup(string) slog.Handler { return l }
