// Command server runs elastic pods behind a load balancer. Nearly everything that
// it does is in package serve; here are the dashboard and the demo.
package main

import (
	"context"
	"io"
	"os"

	"github.com/elastipod/elastipod/cms/serve"
	"github.com/elastipod/elastipod/examples/server/dashboard"
	"github.com/elastipod/elastipod/examples/workload"
)

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) }

// run is the program; it returns its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return server(stdout, stderr, newDemo(stdout)).Run(ctx, args)
}

func server(stdout, stderr io.Writer, d *demo) serve.Program {
	return serve.Program{
		Page: dashboard.New, Workload: workload.Run, Demo: d.run,
		Stdout: stdout, Stderr: stderr,
	}
}
