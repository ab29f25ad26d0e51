package inproc

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
)

func TestRefusals(t *testing.T) {
	b := newBed(t, Config{MaxHeaderBytes: 2 << 10, ReadHeaderTimeout: 100 * time.Millisecond}, nil)
	b.apply(answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	for name, c := range map[string]struct {
		send string
		want int
	}{
		"header too large":     {"GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 4<<10) + "\r\n\r\n", 431},
		"too many fields":      {"GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("a:\r\n", 300) + "\r\n", 431},
		"too many names":       {"GET / HTTP/1.1\r\nHost: x\r\nConnection: " + strings.Repeat("a,", 300) + "\r\n\r\n", 400},
		"endless request line": {"GET /" + strings.Repeat("a", 8<<10), 431},
		"TLS":                  {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400},
		"bare newline":         {"GET / HTTP/1.1\nHost: x\n\n", 400},
		"half a header":        {"GET / HTTP/1.1\r\nHost: x\r\n", 408},
		"version":              {"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505},
		"no version":           {"GET /\r\n\r\n", 400},
		"expectation":          {"GET / HTTP/1.1\r\nHost: x\r\nExpect: gold\r\n\r\n", 417},
		"CONNECT":              {"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n", 400},
		"fragment":             {"GET /#a HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"relative target":      {"GET a HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"user in the target":   {"GET http://u@h/ HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"asterisk":             {"GET * HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"host with a slash":    {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
		"gzip":                 {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 400},
	} {
		t.Run(name, func(t *testing.T) {
			conn := b.dial()
			conn.send(c.send)
			resp, body := conn.recv()
			assert.Equal(t, c.want, resp.StatusCode)
			assert.True(t, resp.Close)
			assert.NotEmpty(t, strings.TrimSpace(body), "it says why")
			assert.NotEmpty(t, resp.Header.Get("Date"))
			conn.closed()
		})
	}
	assert.Zero(t, b.stats().Requests, "none was taken")

	conn := b.dial()
	conn.send("\r\n\r\n" + get)
	resp, _ := conn.recv()
	assert.Equal(t, 200, resp.StatusCode, "empty lines before a request are tolerated")
}

func TestSlowBodies(t *testing.T) {
	b := newBed(t, Config{}, func(f *balancer.Front) { f.Timeouts.Client = 100 * time.Millisecond })
	cut := make(chan error, 10)
	b.apply(httpServer(t, func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		cut <- err
	}))
	t.Run("small", func(t *testing.T) {
		conn := b.dial()
		conn.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabc")
		resp, _ := conn.recv()
		assert.Equal(t, 408, resp.StatusCode)
		conn.closed()
		assert.Empty(t, cut, "no server was bothered with it")
	})
	t.Run("chunked", func(t *testing.T) {
		conn := b.dial()
		conn.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc")
		resp, _ := conn.recv()
		assert.Equal(t, 408, resp.StatusCode)
		assert.Error(t, <-cut, "the server's request is broken off")
	})
	t.Run("malformed", func(t *testing.T) {
		conn := b.dial()
		conn.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcdefgh\r\n")
		resp, _ := conn.recv()
		assert.Equal(t, 400, resp.StatusCode)
		assert.Error(t, <-cut, "the server's request is broken off")
	})
	t.Run("client leaves", func(t *testing.T) {
		conn := b.dial()
		conn.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc")
		time.Sleep(20 * time.Millisecond)
		_ = conn.Close()
		assert.Error(t, <-cut)
	})
	t.Run("idle", func(t *testing.T) {
		conn := b.dial()
		conn.closed()
	})
	eventually(t, "nothing is in flight", func() bool { return b.stats().InFlight == 0 })
	assert.Zero(t, b.stats().Errors, "all were the clients' faults")
}

// TestRequestHead looks at what a server is sent, byte by byte.
func TestRequestHead(t *testing.T) {
	b := newBed(t, Config{}, nil)
	got := make(chan string, 1)
	b.apply(tcpServer(t, func(c *net.TCPConn, r *bufio.Reader) {
		for {
			head, err := readHead(r)
			if err != nil {
				return
			}
			got <- head
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	}))
	forwarded := func(host string) string {
		return "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: " + host + "\r\n"
	}
	for name, c := range map[string]struct{ send, want string }{
		"plain": {
			"GET /a?b HTTP/1.1\r\nHost: x:1\r\nAccept:  */* \r\nX-B: c\r\n\r\n",
			"GET /a?b HTTP/1.1\r\nHost: x:1\r\nAccept:  */* \r\nX-B: c\r\n" + forwarded("x:1") + "\r\n",
		},
		"named by Connection": {
			"GET / HTTP/1.1\r\nHost: x\r\nconnection: x-secret , keep-alive, Host, content-length\r\nX-Secret: 1\r\nX-Other: 2\r\nX-SECRET: 3\r\nContent-Length: 0\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: x\r\nX-Other: 2\r\n" + forwarded("x") + "Content-Length: 0\r\n\r\n",
		},
		"underscores": {
			"GET / HTTP/1.1\r\nHost: x\r\nX_Forwarded_For: 6.6.6.6\r\nX-Forwarded_Host: evil\r\nContent_Length: 5\r\nTransfer_Encoding: chunked\r\nMy_Own: 1\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: x\r\nMy_Own: 1\r\n" + forwarded("x") + "\r\n",
		},
		"absolute": {
			"GET http://Real:8080/p?q HTTP/1.1\r\nHost: claimed\r\n\r\n",
			"GET /p?q HTTP/1.1\r\nHost: Real:8080\r\n" + forwarded("Real:8080") + "\r\n",
		},
		"absolute without a path": {
			"GET http://real?q HTTP/1.1\r\nHost: real\r\n\r\n",
			"GET /?q HTTP/1.1\r\nHost: real\r\n" + forwarded("real") + "\r\n",
		},
		"TE": {
			"GET / HTTP/1.1\r\nHost: x\r\nTE: gzip, trailers;q=1, trailers\r\nConnection: TE\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: x\r\n" + forwarded("x") + "TE: trailers\r\n\r\n",
		},
		"upgrade without Connection": {
			"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: x\r\n" + forwarded("x") + "\r\n",
		},
		"1.0 without a Host": {
			"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: " + b.f.Listen + "\r\n" + forwarded(b.f.Listen) + "\r\n",
		},
		"OPTIONS *": {
			"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
			"OPTIONS * HTTP/1.1\r\nHost: x\r\n" + forwarded("x") + "\r\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			conn := b.dial()
			conn.send(c.send)
			resp, _ := conn.recv()
			require.Equal(t, 200, resp.StatusCode)
			assert.Equal(t, c.want, <-got)
		})
	}
}

// TestResponseHead looks at what a client is sent, byte by byte.
func TestResponseHead(t *testing.T) {
	now := time.Now().UTC().Format("Mon, 02 Jan 2006")
	for name, c := range map[string]struct{ answer, want string }{
		"plain":                   {"HTTP/1.1 200 Fine\r\nDate: then\r\nX: y\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 Fine\r\nDate: then\r\nX: y\r\nContent-Length: 0\r\n\r\n"},
		"no reason":               {"HTTP/1.1 200\r\nDate: then\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 \r\nDate: then\r\nContent-Length: 0\r\n\r\n"},
		"hop by hop":              {"HTTP/1.1 200 OK\r\nDate: then\r\nKeep-Alive: 5\r\nConnection: X-A, keep-alive\r\nX-A: b\r\nProxy-Authenticate: Basic\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nDate: then\r\nContent-Length: 0\r\n\r\n"},
		"length of a 204":         {"HTTP/1.1 204 None\r\nDate: then\r\nContent-Length: 7\r\n\r\n", "HTTP/1.1 204 None\r\nDate: then\r\n\r\n"},
		"length of a 304":         {"HTTP/1.1 304 Same\r\nDate: then\r\nContent-Length: 7\r\n\r\n", "HTTP/1.1 304 Same\r\nDate: then\r\nContent-Length: 7\r\n\r\n"},
		"the server is to close":  {"HTTP/1.1 200 OK\r\nDate: then\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nDate: then\r\nContent-Length: 0\r\n\r\n"},
		"early hints":             {"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nDate: then\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"},
		"no date":                 {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nDate: " + now},
		"an upgrade unasked":      {"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", "HTTP/1.1 502 Bad Gateway\r\n"},
		"bare newlines":           {"HTTP/1.1 200 OK\nContent-Length: 0\n\n", "HTTP/1.1 502 Bad Gateway\r\n"},
		"framed twice":            {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 502 Bad Gateway\r\n"},
		"chunked in 1.0":          {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 502 Bad Gateway\r\n"},
		"unknown coding":          {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 502 Bad Gateway\r\n"},
		"header too large":        {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("a", 70<<10) + "\r\n\r\n", "HTTP/1.1 502 Bad Gateway\r\n"},
		"a head that breaks off":  {"HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 504 Gateway Timeout\r\n"},
		"a header that is folded": {"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 502 Bad Gateway\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, Config{}, func(f *balancer.Front) { f.Timeouts.Server, f.Retries = 200*time.Millisecond, -1 })
			b.apply(answering(t, c.answer))
			conn := b.dial()
			conn.send(get)
			head, err := readHead(conn.r)
			require.NoError(t, err)
			assert.True(t, strings.HasPrefix(head, c.want), "%q", head)
		})
	}
}

// TestAnswerTooLong is of a server that sends more than it said: the rest must
// not become another client's answer.
func TestAnswerTooLong(t *testing.T) {
	b := newBed(t, Config{}, nil)
	var conns atomic.Int64
	b.apply(tcpServer(t, func(c *net.TCPConn, r *bufio.Reader) {
		conns.Add(1)
		for {
			if _, err := readHead(r); err != nil {
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
		}
	}))
	conn := b.dial()
	for range 5 {
		conn.send(get)
		_, body := conn.recv()
		require.Equal(t, "ok", body)
	}
	assert.EqualValues(t, 5, conns.Load(), "such a connection is not used again")
}

// TestLateBytes is of a server that sends more after its answer, once the
// connection is idle.
func TestLateBytes(t *testing.T) {
	b := newBed(t, Config{}, nil)
	sent := make(chan struct{})
	b.apply(tcpServer(t, func(c *net.TCPConn, r *bufio.Reader) {
		if _, err := readHead(r); err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		time.Sleep(20 * time.Millisecond)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
		sent <- struct{}{}
		_, _ = readHead(r)
	}))
	conn := b.dial()
	for range 3 {
		conn.send(get)
		_, body := conn.recv()
		require.Equal(t, "ok", body)
		<-sent
		time.Sleep(5 * time.Millisecond)
	}
}

// TestStaleConnections is of a server that closes each connection after an
// answer without saying so.
func TestStaleConnections(t *testing.T) {
	b := newBed(t, Config{}, nil)
	var posts atomic.Int64
	b.apply(tcpServer(t, func(c *net.TCPConn, r *bufio.Reader) {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		if req.Method == "POST" {
			posts.Add(1)
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	}))
	conn := b.dial()
	for i := range 100 {
		conn.send(get)
		resp, _ := conn.recv()
		require.Equal(t, 200, resp.StatusCode, "GET %d", i)
		time.Sleep(time.Millisecond) // so that the close has come
		conn.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
		resp, _ = conn.recv()
		require.Equal(t, 200, resp.StatusCode, "POST %d", i)
		time.Sleep(time.Millisecond)
	}
	assert.EqualValues(t, 100, posts.Load(), "each POST ran once")
	assert.Zero(t, b.stats().Errors)
}

// TestAnswerBeforeTheBody is of a server that does not want to read it all.
func TestAnswerBeforeTheBody(t *testing.T) {
	b := newBed(t, Config{}, nil)
	b.apply(httpServer(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "too much", http.StatusRequestEntityTooLarge)
	}))
	conn := b.dial()
	conn.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		blob := bytes.Repeat([]byte("x"), 64<<10)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := conn.Write(blob); err != nil {
				return
			}
		}
	})
	resp, body := conn.recv()
	assert.Equal(t, 413, resp.StatusCode)
	assert.Equal(t, "too much\n", body)
	close(stop)
	_ = conn.Close()
	wg.Wait()
	eventually(t, "it is over", func() bool { return b.stats().InFlight == 0 })
}

func TestServerStopsInTheMiddle(t *testing.T) {
	b := newBed(t, Config{}, func(f *balancer.Front) { f.Timeouts.Server = 100 * time.Millisecond })
	b.apply(answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"))
	conn := b.dial()
	conn.send(get)
	resp, err := http.ReadResponse(conn.r, nil)
	require.NoError(t, err)
	_, err = io.ReadAll(resp.Body)
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	eventually(t, "it is an error of the server", func() bool {
		st := b.stats()
		return st.Errors == 1 && st.Servers[0].Errors == 1 && st.InFlight == 0
	})
}
