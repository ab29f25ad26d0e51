// Package elastictest checks what any [elastic.Policy] must keep, whatever it
// decides. The test of a policy of your own is one call of [Run].
package elastictest

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/elastipod/elastipod/elastic"
)

// Option changes what [Run] asks of a policy.
type Option func(*options)

type options struct{ blind bool }

// Blind says that the policy doesn't go by measurements, such as one that goes
// by the time of day: it need not hold the number where everything is missing.
func Blind() Option { return func(o *options) { o.blind = true } }

// Run checks the policies that newPolicy makes, each with no memory yet, on
// random histories:
//
//   - it never wants fewer than no nodes,
//   - equal histories give equal decisions,
//   - each decision has 1 to [elastic.MaxSteps] steps that begin where one
//     another end, from the number before to the wanted one, and each reads as a
//     sentence,
//   - it allocates nothing,
//   - where nothing was measured it keeps a number that is within the bounds,
//   - its memory, where it has some, can be saved and restored at any tick and
//     it then decides as if nothing had been; damaged memory does not make it panic,
//   - clocks that jump, and numbers that are far out, neither make it panic nor
//     break any of this.
func Run(t *testing.T, newPolicy func() elastic.Policy, opts ...Option) {
	t.Helper()
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	for _, kind := range []struct {
		name string
		calm bool
	}{{"calm times", true}, {"wild times", false}} {
		t.Run(kind.name, rapid.MakeCheck(func(rt *rapid.T) {
			h := histories(kind.calm).Draw(rt, "history")
			for _, c := range checks {
				if c.sighted && o.blind {
					continue
				}
				if err := c.check(newPolicy, h); err != nil {
					rt.Fatalf("%s: %v", c.name, err)
				}
			}
		}))
	}
}
