//go:build e2e

package e2e

import (
	"testing"

	"github.com/elastipod/elastipod/internal/apifuzz/onfakes"
)

// A hundred thousand hostile requests, and ten times as many in the long run.
func TestHundredThousandHostileRequests(t *testing.T) {
	onfakes.Run(t, onfakes.Config{Requests: rounds(100_000, 1_000_000), Seed: 2, Workers: 16})
}
