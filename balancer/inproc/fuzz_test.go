package inproc

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// requestSeeds are heads as they come, good and bad.
var requestSeeds = []string{
	"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
	"POST /a?b=c HTTP/1.1\r\nHost: x:80\r\nContent-Length: 5\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\nTE: trailers\r\n\r\n",
	"GET / HTTP/1.0\r\n\r\n",
	"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
	"GET http://h/p?q HTTP/1.1\r\nHost: other\r\n\r\n",
	"GET http://h?q HTTP/1.1\r\nHost: other\r\n\r\n",
	"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
	"CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n",
	"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nConnection: X-A, close\r\nX-A: b\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nX_Forwarded_For: 1\r\nContent_Length: 5\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
	"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
	"GET / HTTP/1.1\nHost: x\n\n",
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 5\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \x0bchunked\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
	"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
	"G\xc3\xa4T / HTTP/1.1\r\nHost: x\r\n\r\n",
}

// FuzzRequest holds the parser against that of net/http: what it takes, net/http
// reads in the same way, and so it does what is sent to a server.
func FuzzRequest(f *testing.F) {
	for _, s := range requestSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, head []byte) {
		end, _, err := scanHead(head, 0)
		if err != nil || end == 0 {
			return
		}
		head = head[:end]
		var r request
		if r.parse(head) != nil {
			return
		}
		std, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
		if err != nil {
			// net/http also decodes the target.
			require.True(t, strings.Contains(err.Error(), "invalid URL") || strings.HasPrefix(err.Error(), "parse "), "net/http refuses %q: %v", head, err)
			return
		}
		require.Equal(t, std.Method, string(r.method))
		require.Equal(t, std.Host, string(r.host), "%q", head)
		require.Equal(t, len(std.TransferEncoding) > 0, r.chunked, "%q", head)
		if !r.chunked {
			require.Equal(t, std.ContentLength, max(r.length, 0), "%q", head)
		}

		out := r.appendTo(nil, []byte("X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: "), "none")
		sent, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(out)))
		require.NoError(t, err, "%q became %q", head, out)
		require.Equal(t, std.Method, sent.Method)
		require.Equal(t, std.ContentLength, sent.ContentLength, "%q became %q", head, out)
		require.Equal(t, std.TransferEncoding, sent.TransferEncoding)
		require.Equal(t, []string{"1.2.3.4"}, sent.Header["X-Forwarded-For"])
		require.Empty(t, sent.Header["X_forwarded_for"])
		var again request
		require.Nil(t, again.parse(out), "%q became %q", head, out)
		require.Equal(t, r.framing, again.framing)
		require.Equal(t, bytes.Count(out, []byte("\r\n\r\n")), 1, "%q", out)
	})
}

// FuzzResponse is FuzzRequest for answers.
func FuzzResponse(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
		"HTTP/1.1 200\r\n\r\n",
		"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nDate: x\r\n\r\n",
		"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
		"HTTP/1.1 2000 OK\r\n\r\n",
		"HTTP/1.1 099 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nKeep-Alive: x\r\nConnection: A\r\nA: b\r\n\r\n",
	} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, head []byte, isHead bool) {
		end, _, err := scanHead(head, 0)
		if err != nil || end == 0 {
			return
		}
		head = head[:end]
		var r response
		if r.parse(head) != nil {
			return
		}
		asked := &http.Request{Method: http.MethodGet}
		req := &request{isHead: isHead}
		if isHead {
			asked.Method = http.MethodHead
		}
		std, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), asked)
		require.NoError(t, err, "%q", head)
		require.Equal(t, std.StatusCode, r.status)
		out := r.appendTo(nil, req, true, []byte("Date: now\r\n"))
		sent, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(out)), asked)
		require.NoError(t, err, "%q became %q", head, out)
		require.Equal(t, r.status, sent.StatusCode)
		switch r.deliver(req) {
		case byLength:
			require.Equal(t, r.length, sent.ContentLength)
			require.Empty(t, sent.TransferEncoding)
		case byChunks:
			require.Equal(t, []string{"chunked"}, sent.TransferEncoding)
		case noBody:
			require.Empty(t, sent.TransferEncoding)
			body, err := io.ReadAll(sent.Body)
			require.NoError(t, err)
			require.Empty(t, body)
		}
		require.Equal(t, bytes.Count(out, []byte("\r\n\r\n")), 1, "%q", out)
	})
}

// dechunk decodes all of src, read in pieces.
func dechunk(src io.Reader) (data, trailers []byte, left []byte, err error) {
	r := &reader{src: src, buf: make([]byte, serverBuffer)}
	var d dechunker
	for {
		piece, more, err := d.next(r)
		switch {
		case err != nil:
			return data, nil, nil, err
		case len(piece) > 0:
			data = append(data, piece...)
		case more:
			if err := r.fill(len(r.buf)); err != nil {
				return data, nil, nil, err
			}
		default:
			return data, d.trailers, r.buffered(), nil
		}
	}
}

// FuzzChunks holds the decoder of chunked bodies against that of net/http, and
// what is made of a body against both.
func FuzzChunks(f *testing.F) {
	for _, s := range []string{
		"0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", "5;ext=1\r\nhello\r\n0\r\nX-A: b\r\n\r\nrest", "00005 \r\nhello\r\n0\r\n\r\n",
		"A\r\n0123456789\r\n1\r\na\r\n0\r\nContent-Length: 5\r\nX_Y: z\r\n\r\n",
		"5\nhello\n0\n\n", "5\r\nhelloXX0\r\n\r\n", "-1\r\n", "0x5\r\nhello\r\n0\r\n\r\n", "ffffffffffffffff\r\n", "5;\n\r\nhello\r\n0\r\n\r\n", "\r\n", "0\r\n folded\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		data, trailers, left, err := dechunk(bytes.NewReader(body))
		slow, _, _, slowErr := dechunk(iotest.OneByteReader(bytes.NewReader(body)))
		require.Equal(t, err == nil, slowErr == nil, "byte by byte: %q: %v, %v", body, err, slowErr)
		if err != nil {
			return
		}
		require.Equal(t, data, slow)
		std, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(body)))
		require.NoError(t, err, "net/http refuses %q", body)
		require.True(t, bytes.Equal(data, std), "%q", body)
		require.True(t, bytes.HasSuffix(body, left))

		var out []byte
		if len(data) > 0 {
			out = appendChunk(out, data)
		}
		out = appendLastChunk(out, trailers)
		again, _, left, err := dechunk(bytes.NewReader(out))
		require.NoError(t, err, "%q", out)
		require.Empty(t, left)
		require.True(t, bytes.Equal(data, again))
	})
}
