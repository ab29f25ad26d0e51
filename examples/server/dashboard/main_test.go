package dashboard_test

import (
	"context"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/elastipod/elastipod/examples/server/serve"
)

// TestMain makes this test binary a server, or a node of one, where it is
// started as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Getenv("DASHBOARD_TEST") != "" || os.Args[1] == "supervise" || os.Args[1] == "workload") {
		os.Exit(serve.Program{Stdout: os.Stdout, Stderr: os.Stderr}.Run(context.Background(), os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}
