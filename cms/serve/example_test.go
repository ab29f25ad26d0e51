package serve_test

import (
	"context"
	"os"

	"github.com/elastipod/elastipod/cms/serve"
)

// The whole of a server's main function.
func ExampleProgram_Run() {
	p := serve.Program{Stdout: os.Stdout, Stderr: os.Stderr, Environ: []string{"HOME=/home/me"}}
	code := p.Run(context.Background(), []string{"--stack", "docker", "--check"})
	if code != serve.ExitOK {
		os.Exit(code)
	}
	// Output:
	// the configuration is good: cluster elastipod, stack docker, hosts 1, pods 0, API on 127.0.0.1:3000
}
