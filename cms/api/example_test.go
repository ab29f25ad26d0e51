package api_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/elastipod/elastipod/balancer/balancertest"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/api"
	"github.com/elastipod/elastipod/cms/cmstest"
	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/podtest"
)

// Serve the API of a manager beside a program's own paths.
func ExampleNew() {
	host := podtest.NewFakeHost() // a program opens pod/docker or pod/process here
	m, err := cms.New(cms.Config{
		Name: "shop", Store: cmstest.NewStore(), Balancer: balancertest.NewFake(),
		Hosts:       []pod.Host{{Name: "local", Runtime: "fake"}},
		OpenRuntime: func(_ context.Context, _ pod.Host, c pod.Cluster) (pod.Runtime, error) { return host.Open(c), nil },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	<-m.Ready()

	a, err := api.New(api.Config{Manager: m})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/", a.Handler())
	mux.HandleFunc("/shop", func(http.ResponseWriter, *http.Request) {})
	server := httptest.NewUnstartedServer(mux)
	a.Bound(server.Config)
	server.Start()

	r, err := server.Client().Get(server.URL + "/readyz")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Status)
	_ = r.Body.Close()

	_ = a.Close() // ends streams
	server.Close()
	stop()
	<-done
	// Output: 200 OK
}
