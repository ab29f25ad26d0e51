package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The commands of the README exist, with their flags and arguments.
func TestReadmeIsRight(t *testing.T) {
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	n := 0
	for i, block := range strings.Split(string(text), "```") {
		if i%2 == 0 {
			continue
		}
		for line := range strings.Lines(block) {
			if strings.HasPrefix(line, "cloud ") || strings.HasPrefix(line, "source ") {
				n++
				line, _, _ = strings.Cut(line, " #")
				checkExample(t, strings.TrimSpace(line))
			}
		}
	}
	assert.Greater(t, n, 20)
}
