package balancertest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// tap is a backend that keeps every byte that it got, and answers each request
// head that it can make out in the most lenient way.
type tap struct {
	mu  sync.Mutex
	got map[net.Conn]*bytes.Buffer
}

func (s *tap) serve(c net.Conn, _ *bufio.Reader) {
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Read(buf)
		if n > 0 {
			s.mu.Lock()
			if s.got[c] == nil {
				s.got[c] = &bytes.Buffer{}
			}
			s.got[c].Write(buf[:n])
			s.mu.Unlock()
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
			_ = c.(*net.TCPConn).CloseWrite()
		}
		if err != nil {
			return
		}
	}
}

func (s *tap) streams() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, b := range s.got {
		out = append(out, b.String())
	}
	return out
}

const inner = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"

// smuggling sends what two parsers could frame in two ways. Each is refused, or
// reaches the server with one reading, and no answer is given for a request
// that was not sent as one.
func smuggling(t *testing.T, b *bed) {
	post := func(headers, body string) string {
		return "POST /first HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n" + body
	}
	chunked := "Transfer-Encoding: chunked\r\n"
	cl := func(n int) string { return fmt.Sprintf("Content-Length: %d\r\n", n) }
	for name, request := range map[string]string{
		"CL and TE":             post(cl(len(inner)+5)+chunked, "0\r\n\r\n"+inner),
		"TE and CL":             post(chunked+cl(4), "5c\r\n"+inner+"\r\n0\r\n\r\n"),
		"two lengths":           post(cl(0)+cl(len(inner)), inner),
		"two lengths, reversed": post(cl(len(inner))+cl(0), inner),
		"length list":           post(fmt.Sprintf("Content-Length: 0, %d\r\n", len(inner)), inner),
		"length with plus":      post(fmt.Sprintf("Content-Length: +%d\r\n", len(inner)), inner),
		"length negative":       post("Content-Length: -1\r\n", inner),
		"length in hex":         post("Content-Length: 0x10\r\n", inner),
		"length too great":      post("Content-Length: 99999999999999999999999\r\n", inner),
		"length empty":          post("Content-Length: \r\n", inner),
		"length with space":     post("Content-Length: 1 0\r\n", inner),
		"space before colon":    post(fmt.Sprintf("Content-Length : %d\r\n", len(inner)), inner),
		"TE space before colon": post("Transfer-Encoding : chunked\r\n"+cl(len(inner)+5), "0\r\n\r\n"+inner),
		"TE obs-fold":           post("Transfer-Encoding:\r\n chunked\r\n"+cl(len(inner)+5), "0\r\n\r\n"+inner),
		"obs-fold":              post("X-A: b\r\n Content-Length: 5\r\n"+cl(0), inner),
		"TE twice":              post(chunked+"Transfer-Encoding: identity\r\n", "0\r\n\r\n"+inner),
		"TE xchunked":           post("Transfer-Encoding: xchunked\r\n"+cl(len(inner)+5), "0\r\n\r\n"+inner),
		"TE chunked, identity":  post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"+inner),
		"TE vertical tab":       post("Transfer-Encoding: \x0bchunked\r\n"+cl(len(inner)+5), "0\r\n\r\n"+inner),
		"TE quoted":             post("Transfer-Encoding: \"chunked\"\r\n"+cl(len(inner)+5), "0\r\n\r\n"+inner),
		"chunk not hex":         post(chunked, "zz\r\n"+inner+"\r\n0\r\n\r\n"),
		"chunk with 0x":         post(chunked, "0x5c\r\n"+inner+"\r\n0\r\n\r\n"),
		"chunk negative":        post(chunked, "-5\r\n"+inner+"\r\n0\r\n\r\n"),
		"chunk overflow":        post(chunked, "1000000000000000000\r\n"+inner+"\r\n0\r\n\r\n"),
		"chunk without end":     post(chunked, "1\r\naXX"+inner),
		"chunk bare newline":    post(chunked, "0\n\n"+inner),
		"chunk ext newline":     post(chunked, "0;\nxx\r\n\r\n"+inner),
		"bare CR in a header":   post("X-A: b\rContent-Length: 5\r\n"+cl(0), inner),
		"NUL in a header":       post("X-A: b\x00c\r\n"+cl(0), inner),
		"no name":               post(": b\r\n"+cl(0), inner),
		"no colon":              post("Content-Length\r\n"+cl(0), inner),
		"space at first header": "POST /first HTTP/1.1\r\n Host: x\r\nContent-Length: 0\r\n\r\n" + inner,
		"two hosts":             "GET /first HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
		"no host":               "GET /first HTTP/1.1\r\n\r\n",
		"newline in the target": "GET /first\nX: y HTTP/1.1\r\nHost: x\r\n\r\n",
		"space in the target":   "GET /first x HTTP/1.1\r\nHost: x\r\n\r\n",
		"version":               "GET /first HTTP/1.1x\r\nHost: x\r\n\r\n",
		"TE in 1.0":             "POST /first HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + inner,
		"body of a GET":         "GET /first HTTP/1.1\r\nHost: x\r\n" + cl(len(inner)) + "\r\n" + inner,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t, b.h)
			f := b.front("web", nil)
			s := &tap{got: map[net.Conn]*bytes.Buffer{}}
			b.apply("web", newRawBackend(t, "tap", s.serve).server())
			c := dialRaw(t, f)
			c.send(t, "%s", request)
			_ = c.Conn.(*net.TCPConn).CloseWrite()
			require.NoError(t, c.SetDeadline(time.Now().Add(2*time.Second)))
			answers := 0
			for {
				resp, _, err := c.recv(http.MethodPost)
				if err != nil {
					break
				}
				if resp.StatusCode == http.StatusOK {
					answers++
				}
			}
			seen := 0
			for _, stream := range s.streams() {
				seen += oneReading(t, stream)
			}
			assert.LessOrEqual(t, answers, seen, "an answer came without a request")
			assert.LessOrEqual(t, seen, max(answers, 1), "the server saw a request that was not answered to the client")
		})
	}
}

// oneReading requires that what a server got can be read in one way only, and
// returns how many requests it is.
func oneReading(t *testing.T, stream string) int {
	t.Helper()
	n := 0
	r := bufio.NewReader(strings.NewReader(stream))
	rest := stream
	for rest != "" {
		head, _, ok := strings.Cut(rest, "\r\n\r\n")
		if !ok {
			assert.NotContains(t, rest, "/smuggled", "a head that is not whole")
			return n
		}
		lengths, encodings := 0, 0
		for i, line := range strings.Split(head, "\r\n") {
			assert.NotContains(t, line, "\n", "%q", head)
			assert.NotContains(t, line, "\r", "%q", head)
			assert.NotContains(t, line, "\x00", "%q", head)
			if i == 0 {
				assert.Len(t, strings.Split(line, " "), 3, "%q", line)
				continue
			}
			assert.False(t, strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t"), "folded: %q", head)
			key, value, _ := strings.Cut(line, ":")
			switch strings.ToLower(strings.TrimSpace(key)) {
			case "content-length":
				lengths++
				assert.Regexp(t, `^ [0-9]{1,18}$`, " "+strings.TrimSpace(value))
			case "transfer-encoding":
				encodings++
				assert.Equal(t, "chunked", strings.ToLower(strings.TrimSpace(value)))
			}
			assert.Equal(t, key, strings.TrimSpace(key), "space before the colon: %q", head)
		}
		assert.LessOrEqual(t, lengths+encodings, 1, "framed twice: %q", head)
		n++
		req, err := http.ReadRequest(r)
		if err != nil {
			return n
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return n // broken off on purpose: what follows is not read
		}
		left, _ := io.ReadAll(r)
		rest = string(left)
		r = bufio.NewReader(strings.NewReader(rest))
	}
	return n
}
