// Command helper is what the nodes of the conformance suite for runtimes run.
// Build it with CGO_ENABLED=0 for an image that holds nothing else.
package main

import (
	"os"

	"github.com/elastipod/elastipod/pod/podtest/internal/program"
)

func main() {
	os.Exit(program.Run(program.OS(os.Args[1:], os.Args[:1])))
}
