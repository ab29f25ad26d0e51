package dashboard_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/elastipod/elastipod/cms/serve"
	"github.com/elastipod/elastipod/examples/server/dashboard"
	"github.com/elastipod/elastipod/examples/workload"
)

// TestMain makes this test binary a server, or a node of one, where it is
// started as one.
func TestMain(m *testing.M) {
	if os.Getenv("DASHBOARD_TEST") == "many" {
		tick, err := time.ParseDuration(os.Getenv("DASHBOARD_TICK"))
		if err == nil {
			err = mainMany(os.Stdin, os.Stdout, tick)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) > 1 && (os.Getenv("DASHBOARD_TEST") != "" || os.Args[1] == "supervise" || os.Args[1] == "workload") {
		os.Exit(serve.Program{Page: dashboard.New, Workload: workload.Run, Stdout: os.Stdout, Stderr: os.Stderr}.Run(context.Background(), os.Args[1:]))
	}
	goleak.VerifyTestMain(tests{m})
}

// atOnce is how many tests run side by side on small machines too: most of what
// they do is to wait for something to be seen.
const atOnce = 3

// tests ends the browser that they share before it is looked what is left.
type tests struct{ *testing.M }

func (t tests) Run() int {
	flag.Parse()
	if runtime.GOMAXPROCS(0) < atOnce && flag.Lookup("test.parallel").Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		_ = flag.Set("test.parallel", strconv.Itoa(atOnce))
	}
	code := t.M.Run()
	if chromium.stop != nil {
		chromium.stop()
	}
	return code
}
