package main

import (
	"bytes"
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.uber.org/goleak"
)

// TestMain makes this test binary a supervisor or a node where the demo's server
// starts it as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "supervise" || os.Args[1] == "workload") {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	goleak.VerifyTestMain(m)
}

func TestRun(t *testing.T) {
	var out, errs bytes.Buffer
	assert.Equal(t, 0, run(t.Context(), []string{"--version"}, &out, &errs))
	assert.Contains(t, out.String(), "elastipod ")
	assert.Empty(t, errs.String())
	assert.Equal(t, 0, run(t.Context(), []string{"--help"}, &out, &errs))
	assert.Contains(t, out.String(), "--demo")
	assert.Equal(t, 2, run(t.Context(), []string{"--nonsense"}, &out, &errs))
	assert.Contains(t, errs.String(), "server: --nonsense: is not a flag")
	assert.Equal(t, 2, run(t.Context(), []string{"workload", "--nonsense"}, &out, &errs))
	assert.Equal(t, 2, run(t.Context(), []string{"supervise"}, &out, &errs), "for the process runtime only")
}
