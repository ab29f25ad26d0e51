package openloop_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/elastipod/elastipod/internal/openloop"
)

// A load that grows, with the loss accounted for request by request.
func Example() {
	seen := make(chan string, 1000)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Get(openloop.IDHeader)
	}))
	defer server.Close()

	r, err := openloop.Run(context.Background(), openloop.Config{
		URL:      server.URL,
		Shape:    openloop.Ramp(0, 200, time.Second),
		Duration: time.Second,
		KeepIDs:  true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Sent, "sent,", r.Failed, "failed,", len(seen), "seen,", len(r.OKIDs), "answered")
	fmt.Printf("success %.0f%%\n", 100*r.Success())
	// Output:
	// 100 sent, 0 failed, 100 seen, 100 answered
	// success 100%
}
