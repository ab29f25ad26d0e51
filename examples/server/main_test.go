package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestRun(t *testing.T) {
	var out, errs bytes.Buffer
	assert.Equal(t, 0, run(t.Context(), []string{"--version"}, &out, &errs))
	assert.Contains(t, out.String(), "elastipod ")
	assert.Empty(t, errs.String())
	assert.Equal(t, 2, run(t.Context(), []string{"--nonsense"}, &out, &errs))
	assert.Contains(t, errs.String(), "server: --nonsense: is not a flag")
	assert.Equal(t, 2, run(t.Context(), []string{"workload", "--nonsense"}, &out, &errs))
	assert.Equal(t, 2, run(t.Context(), []string{"supervise"}, &out, &errs), "for the process runtime only")
}
