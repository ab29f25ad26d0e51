package inproc

import "testing"

func BenchmarkRequestHead(b *testing.B) {
	head := []byte("GET /index.html?q=1 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\nAccept: text/html,application/xhtml+xml\r\nAccept-Encoding: gzip, deflate, br\r\nAccept-Language: en\r\nCookie: session=0123456789abcdef\r\nConnection: keep-alive\r\n\r\n")
	var r request
	out := make([]byte, 0, 4096)
	forwarded := []byte("X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: ")
	b.ReportAllocs()
	b.SetBytes(int64(len(head)))
	for b.Loop() {
		if err := r.parse(head); err != nil {
			b.Fatal(err)
		}
		out = r.appendTo(out[:0], forwarded, "x")
	}
}

func BenchmarkResponseHead(b *testing.B) {
	head := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nDate: Mon, 23 Nov 2026 20:00:00 GMT\r\nCache-Control: no-cache\r\nContent-Length: 1024\r\n\r\n")
	var r response
	req := &request{}
	out := make([]byte, 0, 4096)
	b.ReportAllocs()
	b.SetBytes(int64(len(head)))
	for b.Loop() {
		if err := r.parse(head); err != nil {
			b.Fatal(err)
		}
		out = r.appendTo(out[:0], req, true, nil)
	}
}
