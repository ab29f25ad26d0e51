package reconcile

import (
	"time"

	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/metrics"
)

// Tick is one turn of a pod's loop.
type Tick struct {
	Seq         uint64              // counts from 1 since the loop started
	At          time.Time           // when it began
	Observation elastic.Observation // what the policy saw
	Decision    elastic.Decision    // what it wanted, and why
	// Before is the wanted number before this tick.
	Before int
	Sample metrics.Sample // what was measured
	// Err says what could not be observed, or saved; empty when all was.
	Err string
	// Took is how long the tick took, without the actions that it began.
	Took time.Duration
}
