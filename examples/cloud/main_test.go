package main

import (
	"context"
	"os"
	"os/signal"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets scripts run this test binary as the command "cloud".
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"cloud": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
			defer stop()
			if path := os.Getenv("CLOUD_TEST_READY"); path != "" { // from here on an interrupt is not the end
				if err := os.WriteFile(path, nil, 0o600); err != nil {
					panic(err)
				}
			}
			os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
		},
	})
}
