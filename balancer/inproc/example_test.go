package inproc_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/inproc"
)

// A front on loopback before two servers.
func ExampleNew() {
	ctx := context.Background()
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "hello, %s", r.Header.Get("X-Forwarded-For"))
	})
	one, two := httptest.NewServer(hello), httptest.NewServer(hello)
	defer one.Close()
	defer two.Close()

	b, err := inproc.New(inproc.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = b.Close() }()
	if err := b.SetFront(ctx, balancer.Front{Name: "hello", Listen: "127.0.0.1:9876"}); err != nil {
		fmt.Println(err)
		return
	}
	err = b.Apply(ctx, "hello", []balancer.Server{
		{Name: "one", Addr: strings.TrimPrefix(one.URL, "http://")},
		{Name: "two", Addr: strings.TrimPrefix(two.URL, "http://"), State: balancer.Drain},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get("http://127.0.0.1:9876/")
	if err != nil {
		fmt.Println(err)
		return
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	fmt.Println(string(body))
	// Output: hello, 127.0.0.1
}
