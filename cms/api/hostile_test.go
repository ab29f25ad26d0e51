package api_test

import (
	"flag"
	"testing"

	"github.com/elastipod/elastipod/internal/apifuzz/onfakes"
)

var (
	hostileRequests = flag.Int("hostile.requests", 8000, "how many hostile requests are sent")
	hostileSeed     = flag.Uint64("hostile.seed", 1, "what they follow from")
)

// Whatever is sent, the API answers as its own document says, and the cluster
// stays one.
func TestHostileRequests(t *testing.T) {
	onfakes.Run(t, onfakes.Config{Requests: *hostileRequests, Seed: *hostileSeed, Workers: 16})
}
