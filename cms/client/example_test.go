package client_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/elastipod/elastipod/cms/client"
)

func ExampleNew() {
	// What a server answers; a program gives the address of its own.
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"items":[{"name":"web","workload":{"image":"nginx:1.27"},"status":{"state":"active","want":3}}],"next":""}`)
	}))
	defer server.Close()

	c, err := client.New(client.Config{Server: server.URL})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	pods, err := c.Pods(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range pods {
		fmt.Println(p.Name, p.Status.State, "wants", p.Status.Want)
	}
	// Output: web active wants 3
}
