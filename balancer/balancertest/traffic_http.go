package balancertest

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/websocket"

	"github.com/elastipod/elastipod/balancer"
)

func parseEcho(t *testing.T, body string) echo {
	t.Helper()
	var e echo
	require.NoError(t, json.Unmarshal([]byte(body), &e), "%s", body)
	return e
}

func keepAlive(t *testing.T, b *bed) {
	f, _ := b.one(nil)
	c := dialRaw(t, f)
	for i := range 20 {
		resp, body := c.ask(t, http.MethodGet, "GET /echo?i=%d HTTP/1.1\r\nHost: example.org\r\n\r\n", i)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		require.False(t, resp.Close)
		assert.Equal(t, fmt.Sprint(i), parseEcho(t, body).Query.Get("i"))
	}
	// The connection outlives the server that it used.
	other := newBackend(t, "b")
	b.apply("web", other.server())
	_, body := c.ask(t, http.MethodGet, "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n")
	assert.Equal(t, "b", body)
}

func pipelined(t *testing.T, b *bed) {
	f, _ := b.one(nil)
	c := dialRaw(t, f)
	var sent strings.Builder
	for i := range 10 {
		fmt.Fprintf(&sent, "POST /echo?i=%d HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody", i)
	}
	c.send(t, "%s", sent.String())
	for i := range 10 {
		resp, body := c.mustRecv(t, http.MethodPost)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		e := parseEcho(t, body)
		assert.Equal(t, fmt.Sprint(i), e.Query.Get("i"))
		assert.EqualValues(t, 4, e.Bytes)
	}
}

func methodsAndStatuses(t *testing.T, b *bed) {
	f, _ := b.one(nil)
	c := newClient(t, f, "")
	for _, m := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"} {
		code, body, err := c.try(context.Background(), m, "/echo?a=%20b&c=%2F;d#frag", nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, code)
		e := parseEcho(t, body)
		assert.Equal(t, m, e.Method)
		assert.Equal(t, "/echo?a=%20b&c=%2F;d", e.URI, "the target is not rewritten")
		assert.Equal(t, f.Listen, e.Host)
	}
	for _, code := range []int{200, 201, 204, 301, 304, 400, 404, 418, 500, 503} {
		assert.Equal(t, code, c.status(http.MethodGet, fmt.Sprintf("/status?code=%d", code)))
	}
}

func noBody(t *testing.T, b *bed) {
	f, a := b.one(nil)
	a.handle("/length", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "1234") })
	c := dialRaw(t, f)
	for _, req := range []struct {
		method, path string
		code         int
		length       string
	}{
		{"HEAD", "/bytes?n=100", 200, "100"},
		{"HEAD", "/length", 200, "1234"},
		{"HEAD", "/bytes?n=100000&chunked=1", 200, ""},
		{"GET", "/status?code=204", 204, ""},
		{"GET", "/status?code=304", 304, ""},
		{"POST", "/status?code=204", 204, ""},
		{"HEAD", "/status?code=404", 404, ""},
	} {
		resp, body := c.ask(t, req.method, "%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", req.method, req.path)
		assert.Equal(t, req.code, resp.StatusCode)
		assert.Empty(t, body)
		if req.length != "" {
			assert.Equal(t, req.length, resp.Header.Get("Content-Length"), "%s %s", req.method, req.path)
		}
	}
	_, body := c.ask(t, http.MethodGet, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	assert.Equal(t, "a", body, "the connection is in step")
}

func http10(t *testing.T, b *bed) {
	f, _ := b.one(nil)
	for _, path := range []string{"/bytes?n=50000", "/bytes?n=50000&chunked=1"} {
		c := dialRaw(t, f)
		c.send(t, "GET %s HTTP/1.0\r\nHost: x\r\n\r\n", path)
		all, err := io.ReadAll(c.r)
		require.NoError(t, err, "the connection is closed after the answer")
		head, body, ok := strings.Cut(string(all), "\r\n\r\n")
		require.True(t, ok)
		assert.Contains(t, head, " 200 ")
		assert.NotContains(t, strings.ToLower(head), "transfer-encoding")
		assert.Len(t, body, 50000, "no chunk sizes in it")
	}
	c := dialRaw(t, f)
	for range 3 {
		resp, body := c.ask(t, http.MethodGet, "GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n")
		assert.Equal(t, http.StatusOK, resp.StatusCode)
		assert.Equal(t, "a", body)
	}
	without := dialRaw(t, f)
	resp, _ := without.ask(t, http.MethodGet, "GET / HTTP/1.0\r\n\r\n")
	assert.Equal(t, http.StatusOK, resp.StatusCode, "1.0 needs no Host")
}

func http10Server(t *testing.T, b *bed) {
	f := b.front("web", nil)
	b.apply("web", answering(t, "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n"+strings.Repeat("x", 20000)).server())
	c := dialRaw(t, f)
	for range 3 {
		resp, body := c.ask(t, http.MethodGet, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		assert.Equal(t, http.StatusOK, resp.StatusCode)
		assert.Len(t, body, 20000, "a body that the close ends is whole")
		if resp.Close {
			c = dialRaw(t, f)
		}
	}
}

func connectionClose(t *testing.T, b *bed) {
	f, a := b.one(nil)
	c := dialRaw(t, f)
	resp, body := c.ask(t, http.MethodGet, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	assert.Equal(t, "a", body)
	assert.True(t, resp.Close, "the answer says so")
	_, err := c.r.ReadByte()
	assert.ErrorIs(t, err, io.EOF)

	// That the server closes its connection is none of the client's business.
	a.handle("/close", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		_, _ = io.WriteString(w, "bye")
	})
	cl := newClient(t, f, "")
	for range 5 {
		assert.Equal(t, "bye", cl.get("/close"))
	}
}

func responseStreams(t *testing.T, b *bed) {
	f, a := b.one(nil)
	next := make(chan struct{})
	a.handle("/stream", func(w http.ResponseWriter, r *http.Request) {
		for i := range 4 {
			fmt.Fprintf(w, "part %d\n", i)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-next:
			case <-r.Context().Done():
				return
			}
		}
	})
	resp, err := newClient(t, f, "").Get("http://" + f.Listen + "/stream")
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	r := bufio.NewReader(resp.Body)
	for i := range 4 {
		line, err := r.ReadString('\n')
		require.NoError(t, err)
		assert.Equal(t, fmt.Sprintf("part %d\n", i), line, "before the next is written")
		next <- struct{}{}
	}
	_, err = r.ReadByte()
	assert.ErrorIs(t, err, io.EOF)
}

func requestStreams(t *testing.T, b *bed) {
	f, a := b.one(nil)
	got := make(chan string, 10)
	a.handle("/upload", func(w http.ResponseWriter, r *http.Request) {
		buf := make([]byte, 4)
		for {
			if _, err := io.ReadFull(r.Body, buf); err != nil {
				break
			}
			got <- string(buf)
		}
		_, _ = io.WriteString(w, "done")
	})
	c := dialRaw(t, f)
	c.send(t, "POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
	for i := range 3 {
		c.send(t, "4\r\nab%02d\r\n", i)
		select {
		case s := <-got:
			assert.Equal(t, fmt.Sprintf("ab%02d", i), s)
		case <-time.After(5 * time.Second):
			require.Fail(t, "a part of the request does not reach the server before the next is sent")
		}
	}
	_, body := c.ask(t, http.MethodPost, "0\r\n\r\n")
	assert.Equal(t, "done", body)
}

func trailers(t *testing.T, b *bed) {
	f, a := b.one(nil)
	a.handle("/trailers", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Trailer", "X-Sum")
		_, _ = io.WriteString(w, "body")
		w.Header().Set("X-Sum", "of-"+r.Trailer.Get("X-Request-Sum"))
	})
	req, err := http.NewRequest(http.MethodPost, "http://"+f.Listen+"/trailers", io.LimitReader(&pattern{}, 70000))
	require.NoError(t, err)
	req.ContentLength = -1
	req.Trailer = http.Header{"X-Request-Sum": []string{"42"}}
	req.Header.Set("TE", "trailers")
	resp, body := newClient(t, f, "").do(req)
	assert.Equal(t, "body", body)
	assert.Equal(t, "of-42", resp.Trailer.Get("X-Sum"), "trailers pass both ways")
}

func expectContinue(t *testing.T, b *bed) {
	f, a := b.one(nil)
	c := dialRaw(t, f)
	resp, _ := c.ask(t, http.MethodPost, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\nExpect: 100-continue\r\n\r\n")
	require.Equal(t, http.StatusContinue, resp.StatusCode, "the server asks for the body")
	resp, body := c.ask(t, http.MethodPost, "payload")
	require.Equal(t, http.StatusOK, resp.StatusCode)
	assert.EqualValues(t, 7, parseEcho(t, body).Bytes)
	_, body = c.ask(t, http.MethodGet, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	assert.Equal(t, "a", body, "the connection is in step")

	// A server that does not want the body says so at once.
	a.handle("/no", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusRequestEntityTooLarge) })
	c = dialRaw(t, f)
	resp, _ = c.ask(t, http.MethodPost, "POST /no HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n")
	assert.Equal(t, http.StatusRequestEntityTooLarge, resp.StatusCode)
}

func dialWebSocket(t *testing.T, f balancer.Front) *websocket.Conn {
	t.Helper()
	ws, err := websocket.Dial("ws://"+f.Listen+"/ws", "", "http://"+f.Listen)
	require.NoError(t, err)
	t.Cleanup(func() { _ = ws.Close() })
	require.NoError(t, ws.SetDeadline(time.Now().Add(10*time.Second)))
	return ws
}

func webSocket(t *testing.T, b *bed) {
	f, a := b.one(nil)
	ws := dialWebSocket(t, f)
	say := func(s string) {
		t.Helper()
		require.NoError(t, websocket.Message.Send(ws, s))
		var got string
		require.NoError(t, websocket.Message.Receive(ws, &got))
		require.Equal(t, s, got)
	}
	say("hello")
	say(strings.Repeat("long", 50_000))
	eventually(t, "it is in flight", func() bool { return b.server("web", "a").InFlight == 1 })
	b.apply("web", a.draining())
	say("while it drains")
	assert.Equal(t, 1, b.server("web", "a").InFlight, "drain counts it")
	assert.Equal(t, 1, b.stats("web").InFlight)
	require.NoError(t, ws.Close())
	eventually(t, "it is over", func() bool { return b.server("web", "a").InFlight == 0 })

	// Removal cuts it.
	b.apply("web", a.server())
	ws = dialWebSocket(t, f)
	say("again")
	b.apply("web")
	var got string
	err := websocket.Message.Receive(ws, &got)
	require.Error(t, err)
	var ne net.Error
	assert.False(t, errors.As(err, &ne) && ne.Timeout(), "it is cut and does not hang")
}

func forwardedHeaders(t *testing.T, b *bed) {
	f, _ := b.one(nil)
	c := newClient(t, f, "127.0.0.77")
	req, err := http.NewRequest(http.MethodGet, "http://"+f.Listen+"/echo", nil)
	require.NoError(t, err)
	req.Host = "shop.example:8080"
	for _, spoof := range []bool{false, true} {
		if spoof {
			req.Header["X-Forwarded-For"] = []string{"10.1.1.1", "10.2.2.2"}
			req.Header.Set("X-Forwarded-Proto", "https")
			req.Header.Set("X-Forwarded-Host", "evil.example")
			req.Header.Set("Forwarded", "for=10.1.1.1;proto=https")
		}
		_, body := c.do(req)
		e := parseEcho(t, body)
		assert.Equal(t, "shop.example:8080", e.Host, "Host passes")
		assert.Equal(t, []string{"127.0.0.77"}, e.Header["X-Forwarded-For"], "spoofed: %v", spoof)
		assert.Equal(t, []string{"http"}, e.Header["X-Forwarded-Proto"], "spoofed: %v", spoof)
		assert.Equal(t, []string{"shop.example:8080"}, e.Header["X-Forwarded-Host"], "spoofed: %v", spoof)
		assert.Empty(t, e.Header["Forwarded"], "spoofed: %v", spoof)
	}
}

func hopByHop(t *testing.T, b *bed) {
	f, a := b.one(nil)
	c := dialRaw(t, f)
	_, body := c.ask(t, http.MethodGet, "GET /echo HTTP/1.1\r\nHost: x\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n"+
		"Proxy-Authorization: Basic Zm9v\r\nX-Custom: one\r\nX-Custom: two\r\nCookie: a=b\r\nAuthorization: Bearer t\r\nAccept-Encoding: br\r\n\r\n")
	e := parseEcho(t, body)
	for _, name := range []string{"Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "Upgrade"} {
		assert.Empty(t, e.Header[name], name)
	}
	assert.Equal(t, []string{"one", "two"}, e.Header["X-Custom"], "others pass, in order")
	assert.Equal(t, []string{"a=b"}, e.Header["Cookie"])
	assert.Equal(t, []string{"Bearer t"}, e.Header["Authorization"])
	assert.Equal(t, []string{"br"}, e.Header["Accept-Encoding"], "nothing is added or changed")

	a.handle("/headers", func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Set-Cookie"] = []string{"a=1", "b=2"}
		w.Header().Set("X-Custom", "täg")
		_, _ = io.WriteString(w, "x")
	})
	resp, err := newClient(t, f, "").Get("http://" + f.Listen + "/headers")
	require.NoError(t, err)
	_ = resp.Body.Close()
	assert.Equal(t, []string{"a=1", "b=2"}, resp.Header["Set-Cookie"])
	assert.Equal(t, "täg", resp.Header.Get("X-Custom"))
	assert.Len(t, resp.Header["Date"], 1)
}

func largeBodies(t *testing.T, b *bed) {
	f, _ := b.one(nil)
	c := newClient(t, f, "")
	const n = 16 << 20
	want := sha256.New()
	_, err := io.CopyN(want, &pattern{}, n)
	require.NoError(t, err)
	for _, length := range []int64{n, -1} {
		req, err := http.NewRequest(http.MethodPost, c.base+"/echo", io.LimitReader(&pattern{}, n))
		require.NoError(t, err)
		req.ContentLength = length
		resp, body := c.do(req)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		e := parseEcho(t, body)
		assert.Equal(t, length, e.Length)
		assert.EqualValues(t, n, e.Bytes)
	}
	for _, path := range []string{"/bytes?n=%d", "/bytes?n=%d&chunked=1"} {
		resp, err := c.Get(c.base + fmt.Sprintf(path, n))
		require.NoError(t, err)
		sum := sha256.New()
		got, err := io.Copy(sum, resp.Body)
		require.NoError(t, err)
		_ = resp.Body.Close()
		assert.EqualValues(t, n, got)
		assert.Equal(t, want.Sum(nil), sum.Sum(nil), path)
	}
	// What arrives is what was sent.
	blob := strings.Repeat("0123456789abcdef-", 100_000)
	code, body, err := c.try(context.Background(), http.MethodPut, "/echo", strings.NewReader(blob))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, code)
	sum := sha256.Sum256([]byte(blob))
	assert.Equal(t, hex.EncodeToString(sum[:]), parseEcho(t, body).SHA)
}

func clientGone(t *testing.T, b *bed) {
	f, a := b.one(nil)
	c := newClient(t, f, "")
	p := c.hold(a)
	p.cancel()
	eventually(t, "the server learns of it", func() bool { return a.dropped.Load() == 1 })
	eventually(t, "nothing is in flight", func() bool { return b.stats("web").InFlight == 0 && b.server("web", "a").InFlight == 0 })
	assert.EqualValues(t, 1, a.hits.Load(), "it was not tried again")
	assert.Equal(t, "a", c.get("/"))
}
