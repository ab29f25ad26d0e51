package serve_test

import (
	"context"
	"net"
	"os"
	"regexp"
	"testing"

	"go.uber.org/goleak"

	"github.com/elastipod/elastipod/cms/serve"
	"github.com/elastipod/elastipod/examples/server/dashboard"
	"github.com/elastipod/elastipod/examples/workload"
)

var regexpURL = regexp.MustCompile(`https?://[0-9.:]+`)

func loopback() []net.IP { return []net.IP{net.IPv4(127, 0, 0, 1)} }

// TestMain makes this test binary a server where it is started as one: by the
// tests, or by the process runtime of a server that it is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Getenv("SERVE_TEST") != "" || os.Args[1] == "supervise" || os.Args[1] == "workload") {
		os.Exit(serve.Program{Page: dashboard.New, Workload: workload.Run, Stdout: os.Stdout, Stderr: os.Stderr}.Run(context.Background(), os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}
