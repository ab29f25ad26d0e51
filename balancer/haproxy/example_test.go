package haproxy_test

import (
	"context"
	"fmt"
	"os"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/haproxy"
)

func Example() {
	dir, err := os.MkdirTemp("", "ep")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	b, err := haproxy.New(haproxy.Config{Dir: dir})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	ctx := context.Background()
	// The first front starts HAProxy, which outlives this program …
	if err := b.SetFront(ctx, balancer.Front{Name: "web", Listen: "127.0.0.1:9472"}); err != nil {
		fmt.Println(err)
	}
	if err := b.Apply(ctx, "web", []balancer.Server{{Name: "n1", Addr: "127.0.0.1:9473"}}); err != nil {
		fmt.Println(err)
	}
	stats, err := b.Observe(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	web, _ := stats.Front("web")
	fmt.Println(web.Listen, web.Servers[0].Name, web.Servers[0].State)
	fmt.Println(b.Shutdown(ctx)) // … until it is told to end
	// Output:
	// 127.0.0.1:9472 n1 ready
	// <nil>
}
