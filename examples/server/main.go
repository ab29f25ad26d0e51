// Command server runs elastic pods behind a load balancer. Everything that it
// does is in package serve.
package main

import (
	"context"
	"io"
	"os"

	"github.com/elastipod/elastipod/examples/server/serve"
)

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) }

// run is the program; it returns its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return serve.Program{Stdout: stdout, Stderr: stderr}.Run(ctx, args)
}
