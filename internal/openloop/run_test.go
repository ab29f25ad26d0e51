package openloop

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// target is a server that notes the ids that it saw.
type target struct {
	*httptest.Server
	mu  sync.Mutex
	ids []string
}

func (s *target) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ids)
}

func serveWith(t *testing.T, handle http.HandlerFunc) *target {
	t.Helper()
	s := &target{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.ids = append(s.ids, r.Header.Get(IDHeader))
		s.mu.Unlock()
		handle(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func ok(w http.ResponseWriter, r *http.Request) {
	w.Header().Set(IDHeader, r.Header.Get(IDHeader))
	io.WriteString(w, "ok")
}

func TestRunSendsTheIntegralAndAccountsForEveryID(t *testing.T) {
	s := serveWith(t, ok)
	res, err := Run(t.Context(), Config{
		URL: s.URL, Shape: Ramp(0, 400, time.Second), Duration: time.Second, KeepIDs: true, IDPrefix: "a",
	})
	require.NoError(t, err)
	assert.Equal(t, 200, res.Sent)
	assert.Equal(t, 200, res.OK)
	assert.Zero(t, res.Failed)
	assert.Equal(t, map[int]int{200: 200}, res.Codes)
	assert.Empty(t, res.Errors)
	assert.Equal(t, 1.0, res.Success())
	assert.Equal(t, time.Second, res.Sending)
	assert.InDelta(t, 200, res.Rate, 0.01)
	assert.ElementsMatch(t, s.seen(), res.OKIDs)
	slices.Sort(res.OKIDs)
	assert.Len(t, slices.Compact(res.OKIDs), 200, "ids are unique")
	assert.Contains(t, res.OKIDs, "a-1")
	assert.EqualValues(t, 200, res.Latency.Count)
	assert.EqualValues(t, 200, res.Lag.Count)
	assert.Less(t, res.Connections, 150, "connections are kept alive")
	t.Logf("latency %+v", res.Latency)
	t.Logf("lag %+v", res.Lag)
}

// The server answers nothing until half of the requests have come. A closed loop
// would wait for ever; one that measures from the moment of sending, or that
// waits, would not count the stall against the requests that were due in it.
func TestRunSendsByTheClockWhileTheServerStalls(t *testing.T) {
	const rate, half = 200, 100
	var came atomic.Int64
	stalled := make(chan struct{})
	var released time.Time
	s := serveWith(t, func(w http.ResponseWriter, r *http.Request) {
		if came.Add(1) == half {
			released = time.Now()
			close(stalled)
		}
		<-stalled
		ok(w, r)
	})
	var outcomes []Outcome
	res, err := Run(t.Context(), Config{
		URL: s.URL, Rate: rate, Duration: time.Second, IDPrefix: "x",
		Observe: func(o Outcome) { outcomes = append(outcomes, o) },
	})
	require.NoError(t, err)
	assert.Equal(t, rate, res.Sent)
	assert.Equal(t, rate, res.OK)
	require.Len(t, outcomes, rate)
	inStall := 0
	for _, o := range outcomes {
		n, err := strconv.Atoi(strings.TrimPrefix(o.ID, "x-"))
		require.NoError(t, err)
		assert.InDelta(t, time.Duration(n-1)*time.Second/rate, o.At.Sub(res.Began), float64(time.Microsecond), "request %d was due by the clock alone", n)
		if o.At.Before(released) {
			inStall++
			assert.GreaterOrEqual(t, o.Latency, released.Sub(o.At), "request %d waited for what was left of the stall", n)
		}
	}
	assert.GreaterOrEqual(t, inStall, half)
	assert.GreaterOrEqual(t, res.Latency.Max, 490*time.Millisecond, "the first one waited for the half of a second")
	// One in twenty of all are the first ten, due in the first 45 ms.
	assert.GreaterOrEqual(t, res.Latency.P95, 400*time.Millisecond)
}

// One connection only: a generator that measured from the moment of sending
// would report 20 ms for every request.
func TestLatencyCountsFromTheIntendedTime(t *testing.T) {
	const each = 20 * time.Millisecond
	s := serveWith(t, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(each)
		ok(w, r)
	})
	res, err := Run(t.Context(), Config{URL: s.URL, Rate: 100, Duration: 500 * time.Millisecond, MaxInFlight: 1})
	require.NoError(t, err)
	assert.Equal(t, 50, res.Sent)
	assert.Equal(t, 50, res.OK)
	assert.Equal(t, 1, res.Connections)
	// Request n is due at 10n ms and done at 20(n+1) ms: it took 10n+20 ms.
	assert.GreaterOrEqual(t, res.Latency.Max, 500*time.Millisecond)
	assert.GreaterOrEqual(t, res.Latency.P50, 250*time.Millisecond)
	assert.GreaterOrEqual(t, res.Lag.Max, 480*time.Millisecond, "the generator says that it was the bottleneck")
	assert.GreaterOrEqual(t, res.Took, time.Second)
	assert.InDelta(t, 100, res.Rate, 0.01)
	assert.Less(t, res.Throughput, 51.0)
}

// killer closes the connection of every n-th request without an answer.
func killer(t *testing.T, n int64) (*target, *atomic.Int64) {
	var count, killed atomic.Int64
	s := serveWith(t, func(w http.ResponseWriter, r *http.Request) {
		if count.Add(1)%n != 0 {
			ok(w, r)
			return
		}
		killed.Add(1)
		conn, _, err := w.(http.Hijacker).Hijack()
		if assert.NoError(t, err) {
			conn.Close()
		}
	})
	return s, &killed
}

func TestKilledConnectionsAreFailuresAndNeverRetried(t *testing.T) {
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut} {
		t.Run(method, func(t *testing.T) {
			s, killed := killer(t, 5)
			c := Config{URL: s.URL, Method: method, Rate: 200, Requests: 50, KeepIDs: true, MaxInFlight: 2}
			if method == http.MethodPost {
				c.Body = []byte("hello")
			}
			res, err := Run(t.Context(), c)
			require.NoError(t, err)
			assert.EqualValues(t, 10, killed.Load())
			assert.Equal(t, 50, res.Sent)
			assert.Equal(t, 40, res.OK)
			assert.Equal(t, 10, res.Failed)
			assert.InDelta(t, 0.8, res.Success(), 1e-9)
			assert.Len(t, s.seen(), 50, "every request reached the server exactly once")
			assert.Equal(t, 10, res.Errors[ErrStale]+res.Errors[ErrClosed]+res.Errors[ErrReset], "%v", res.Errors)
			assert.Positive(t, res.Errors[ErrStale], "it happened on connections that were kept alive")
			require.Len(t, res.Failures, 10)
			for _, f := range res.Failures {
				assert.Error(t, f.Err)
				assert.NotContains(t, res.OKIDs, f.ID)
			}
		})
	}
}

// The control of the test above: net/http's own client hides such failures.
func TestPlainClientWouldHaveRetried(t *testing.T) {
	s, killed := killer(t, 2)
	client := s.Client()
	for range 3 {
		resp, err := client.Get(s.URL)
		require.NoError(t, err)
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	assert.Positive(t, killed.Load())
	assert.Greater(t, len(s.seen()), 3)
}

// A server may close an idle connection just when a request is being sent.
func TestIdleConnectionsThatWereClosedAreNotRetried(t *testing.T) {
	var l net.Listener
	var served atomic.Int64
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { // answers one request, promises keep-alive, then closes when the next one comes
				defer conn.Close()
				buf := make([]byte, 4096)
				if _, err := conn.Read(buf); err != nil {
					return
				}
				served.Add(1)
				io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				conn.Read(buf)
			})
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	res, err := Run(t.Context(), Config{URL: "http://" + l.Addr().String(), Rate: 100, Requests: 20, MaxInFlight: 1})
	require.NoError(t, err)
	assert.Equal(t, 10, res.OK)
	assert.Equal(t, map[ErrorKind]int{ErrStale: 10}, res.Errors)
	assert.EqualValues(t, 10, served.Load())
}

func TestKindsOfErrors(t *testing.T) {
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	for name, c := range map[string]struct {
		url    string
		handle http.HandlerFunc
		codes  map[int]int
		errors map[ErrorKind]int
	}{
		"refused":      {url: closed.URL, errors: map[ErrorKind]int{ErrRefused: 3}},
		"no such host": {url: "http://nowhere.invalid", errors: map[ErrorKind]int{ErrDial: 3}},
		"5xx":          {handle: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, codes: map[int]int{503: 3}},
		"redirects are not followed, and are fine": {handle: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		}, codes: map[int]int{302: 3}},
		"timeout": {handle: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
			errors: map[ErrorKind]int{ErrTimeout: 3}},
		"timeout in the body": {handle: func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(200)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, codes: map[int]int{200: 3}, errors: map[ErrorKind]int{ErrTimeout: 3}},
		"broken off": {handle: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10")
			io.WriteString(w, "short")
		}, codes: map[int]int{200: 3}, errors: map[ErrorKind]int{ErrBody: 3}},
		"another's answer": {handle: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(IDHeader, "somebody-else")
		}, codes: map[int]int{200: 3}, errors: map[ErrorKind]int{ErrWrongID: 3}},
		"closed at once": {handle: func(w http.ResponseWriter, _ *http.Request) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			conn.Close()
		}, errors: map[ErrorKind]int{ErrClosed: 3}},
		"reset": {handle: func(w http.ResponseWriter, _ *http.Request) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		}, errors: map[ErrorKind]int{ErrReset: 3}},
		"not HTTP": {handle: func(w http.ResponseWriter, _ *http.Request) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			io.WriteString(conn, "hello\r\n\r\n")
			conn.Close()
		}, errors: map[ErrorKind]int{ErrOther: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.handle != nil {
				c.url = serveWith(t, c.handle).URL
			}
			if c.codes == nil {
				c.codes = map[int]int{}
			}
			if c.errors == nil {
				c.errors = map[ErrorKind]int{}
			}
			res, err := Run(t.Context(), Config{URL: c.url, Rate: 100, Requests: 3, Timeout: time.Second})
			require.NoError(t, err)
			assert.Equal(t, 3, res.Sent)
			assert.Equal(t, 3, res.OK+res.Failed)
			assert.Equal(t, c.codes, res.Codes)
			assert.Equal(t, c.errors, res.Errors)
			failures := 0
			for _, n := range c.errors {
				failures += n
			}
			for code, n := range c.codes {
				if code >= 400 {
					failures += n
				}
			}
			assert.Equal(t, failures, res.Failed)
			assert.Len(t, res.Failures, failures)
		})
	}
}

func TestTimeoutAlsoCountsWaitingBelowMaxInFlight(t *testing.T) {
	s := serveWith(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	began := time.Now()
	res, err := Run(t.Context(), Config{URL: s.URL, Rate: 1e6, Requests: 20, Timeout: 200 * time.Millisecond, MaxInFlight: 1})
	require.NoError(t, err)
	assert.Equal(t, map[ErrorKind]int{ErrTimeout: 20}, res.Errors)
	assert.Less(t, time.Since(began), 5*time.Second, "bounded by the last request's time-out")
	assert.Less(t, len(s.seen()), 20, "some were never sent, and failed nevertheless")
	assert.EqualValues(t, 20, res.Latency.Count, "a time-out is a latency of at least that")
}

func TestContextAbandonsAndStopFinishes(t *testing.T) {
	t.Run("context", func(t *testing.T) {
		s := serveWith(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		res, err := Run(ctx, Config{URL: s.URL, Rate: 100, Duration: time.Hour})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Positive(t, res.Abandoned)
		assert.Equal(t, res.Sent, res.Abandoned)
		assert.Zero(t, res.Failed)
		assert.Equal(t, 1.0, res.Success())
	})
	t.Run("stop", func(t *testing.T) {
		stop, came := make(chan struct{}), atomic.Int64{}
		s := serveWith(t, func(w http.ResponseWriter, r *http.Request) {
			if came.Add(1) == 20 {
				close(stop)
			}
			<-stop
			ok(w, r)
		})
		res, err := Run(t.Context(), Config{URL: s.URL, Rate: 100, Duration: time.Hour, Stop: stop})
		require.NoError(t, err)
		assert.GreaterOrEqual(t, res.Sent, 20)
		assert.Equal(t, res.Sent, res.OK)
		assert.Len(t, s.seen(), res.Sent)
	})
	t.Run("stop where the rate is 0", func(t *testing.T) {
		stop := make(chan struct{})
		time.AfterFunc(50*time.Millisecond, func() { close(stop) })
		res, err := Run(t.Context(), Config{URL: "http://localhost", Shape: constant(0), Duration: time.Hour, Stop: stop})
		require.NoError(t, err)
		assert.Zero(t, res.Sent)
		assert.Equal(t, 1.0, res.Success())
	})
}

func TestProgressAndObserve(t *testing.T) {
	s := serveWith(t, ok)
	var all []Progress
	var outcomes []Outcome
	res, err := Run(t.Context(), Config{
		URL: s.URL, Rate: 100, Duration: 500 * time.Millisecond, Poisson: true,
		Progress: func(p Progress) { all = append(all, p) },
		Observe:  func(o Outcome) { outcomes = append(outcomes, o) },
	})
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(all), 2)
	for i, p := range all[:len(all)-1] {
		assert.False(t, p.Done)
		assert.LessOrEqual(t, p.Sent, all[i+1].Sent)
		assert.Equal(t, p.Sent, p.OK+p.Failed+p.InFlight)
	}
	last := all[len(all)-1]
	assert.True(t, last.Done)
	assert.Equal(t, res.Sent, last.Sent)
	assert.Zero(t, last.InFlight)
	assert.Len(t, outcomes, res.Sent)
	for _, o := range outcomes {
		assert.True(t, o.OK())
		assert.Equal(t, o.ID, o.Header.Get(IDHeader))
	}
}

func TestWhatIsSent(t *testing.T) {
	var mu sync.Mutex
	var got []string
	s := serveWith(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		got = append(got, strings.Join([]string{r.Method, r.URL.String(), r.Host, r.Header.Get("A"), string(body),
			strconv.FormatInt(r.ContentLength, 10), strings.Join(r.TransferEncoding, "")}, "|"))
	})
	for _, c := range []Config{
		{},
		{Method: "DELETE"},
		{Method: "POST"},
		{Method: "POST", Body: []byte("x=1"), Header: http.Header{"A": {"b"}, "Host": {"example.com"}}},
	} {
		c.URL, c.Rate, c.Requests = s.URL+"/work?cpu=1ms", 100, 1
		_, err := Run(t.Context(), c)
		require.NoError(t, err)
	}
	host := s.Listener.Addr().String()
	assert.Equal(t, []string{
		"GET|/work?cpu=1ms|" + host + "|||0|",
		"DELETE|/work?cpu=1ms|" + host + "|||0|",
		"POST|/work?cpu=1ms|" + host + "|||0|",
		"POST|/work?cpu=1ms|example.com|b|x=1|3|",
	}, got)
}

func TestConfigFaults(t *testing.T) {
	for want, c := range map[string]Config{
		"URL":              {URL: "localhost:80", Rate: 1, Requests: 1},
		"Method":           {URL: "http://localhost", Method: "G T", Rate: 1, Requests: 1},
		"Rate":             {URL: "http://localhost", Requests: 1},
		"Shape":            {URL: "http://localhost", Rate: 1, Shape: constant(1), Requests: 1},
		"Duration":         {URL: "http://localhost", Rate: 1},
		"negative":         {URL: "http://localhost", Rate: 1, Requests: -1},
		"Timeout":          {URL: "http://localhost", Rate: 1, Requests: 1, Timeout: -1},
		IDHeader:           {URL: "http://localhost", Rate: 1, Requests: 1, Header: http.Header{IDHeader: {"x"}}},
		"1000000 a second": {URL: "http://localhost", Rate: 1e9, Requests: 1},
	} {
		_, err := Run(t.Context(), c)
		assert.ErrorContains(t, err, want)
	}
	_, err := Run(t.Context(), Config{})
	var joined interface{ Unwrap() []error }
	require.True(t, errors.As(err, &joined))
	assert.Len(t, joined.Unwrap(), 3, "every fault at once: %v", err)
}
