package balancertest_test

import (
	"context"
	"fmt"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/balancertest"
)

// A Fake takes the place of a balancer in a test, which sets what is in flight
// and reads what was applied.
func ExampleFake() {
	ctx := context.Background()
	f := balancertest.NewFake()
	_ = f.SetFront(ctx, balancer.Front{Name: "web", Listen: "127.0.0.1:5100"})
	_ = f.Apply(ctx, "web", []balancer.Server{{Name: "n-1", Addr: "127.0.0.1:8001"}})
	f.SetInFlight("web", "n-1", 3)

	st, _ := f.Observe(ctx)
	web, _ := st.Front("web")
	fmt.Println(web.InFlight, len(f.History("web")))

	_ = f.Apply(ctx, "web", nil) // without a drain
	fmt.Println("cut:", f.Cut())
	// Output:
	// 3 1
	// cut: 3
}
