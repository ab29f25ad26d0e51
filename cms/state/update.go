package state

import (
	"fmt"
	"slices"
	"time"

	"github.com/elastipod/elastipod/internal/fault"
)

// Update says how the nodes of a pod are replaced when what they run changes.
// The zero value of every field has a default; see [Update.WithDefaults].
type Update struct {
	Strategy UpdateStrategy // default [Rolling]
	// MaxSurge is how many nodes more than wanted there may be meanwhile,
	// within the pod's MaxNodes. Default 1; -1: none.
	MaxSurge int
	// MaxUnavailable is how many nodes fewer than wanted may be ready meanwhile.
	// Default 0. Where there is no room for a surge, one of two or more ready
	// nodes still goes first; the only ready node goes first where this is 1 or
	// more, and else the rollout waits.
	MaxUnavailable int
	// MinReady is how long a new node must be online before an old one goes for
	// it. Default 0.
	MinReady time.Duration
	// Failures is how many new nodes may fail before the pod goes back to what
	// it ran before. Default 3; -1: it never goes back by itself. A failure that
	// trying again cannot mend goes back at once: an image that does not exist,
	// or that the registry denies.
	Failures int
	// MaxErrors is the fraction of requests to the new nodes that may fail, by
	// the balancer's count, once they have had [GateRequests]. Above it the pod
	// goes back. Default 0.05 for a canary, otherwise 1: not looked at.
	MaxErrors float64
	// Steps are those of a canary, in growing weight. Default: 10 % for 30 s,
	// then 50 % for 30 s.
	Steps []CanaryStep
}

// CanaryStep is one step of a canary.
type CanaryStep struct {
	// Weight is the percentage of requests that new nodes are given, 1 to 99; of
	// the nodes about that percentage is new, and at least one of each kind.
	// The balancer's least-connections algorithm spreads a load that is too low
	// to keep nodes busy more evenly than that.
	Weight int
	// Pause is how long the step lasts once its nodes are ready. Default 30 s.
	Pause time.Duration
}

// UpdateStrategy is how old nodes make room for new ones.
type UpdateStrategy string

// The strategies of an update.
const (
	// Rolling replaces a few nodes at a time, the new ones first.
	Rolling UpdateStrategy = "rolling"
	// BlueGreen starts as many new nodes as are wanted, gives them no requests,
	// and changes over once all of them are ready. It needs room for twice the
	// nodes, within MaxNodes; what does not fit is rolled.
	BlueGreen UpdateStrategy = "blue-green"
	// Canary gives a few new nodes a part of the requests, step by step, before
	// it rolls the others.
	Canary UpdateStrategy = "canary"
)

// Default values of an [Update].
const (
	DefaultMaxSurge     = 1
	DefaultMaxFailures  = 3
	DefaultCanaryErrors = 0.05
	DefaultCanaryPause  = 30 * time.Second
	// GateRequests is how many requests new nodes must have had before their
	// errors count.
	GateRequests = 20
)

// WithDefaults returns the update with every unset field filled in.
func (u Update) WithDefaults() Update {
	if u.Strategy == "" {
		u.Strategy = Rolling
	}
	if u.MaxSurge == 0 {
		u.MaxSurge = DefaultMaxSurge
	}
	if u.Failures == 0 {
		u.Failures = DefaultMaxFailures
	}
	if u.MaxErrors == 0 {
		u.MaxErrors = 1
		if u.Strategy == Canary {
			u.MaxErrors = DefaultCanaryErrors
		}
	}
	if u.Strategy == Canary && len(u.Steps) == 0 {
		u.Steps = []CanaryStep{{Weight: 10}, {Weight: 50}}
	}
	u.Steps = slices.Clone(u.Steps)
	for i := range u.Steps {
		if u.Steps[i].Pause == 0 {
			u.Steps[i].Pause = DefaultCanaryPause
		}
	}
	return u
}

// Validate returns every fault as [fault.List], or nil.
func (u Update) Validate() error {
	var f fault.List
	switch u.Strategy {
	case "", Rolling, BlueGreen, Canary:
	default:
		f.Add("strategy", `use "rolling", "blue-green" or "canary"`, "%.80q is unknown", u.Strategy)
	}
	if u.MaxSurge < -1 {
		f.Add("max_surge", "use 0 (none) or more", "%d is negative", u.MaxSurge)
	}
	if u.MaxUnavailable < 0 {
		f.Add("max_unavailable", "use 0 or more", "%d is negative", u.MaxUnavailable)
	}
	if u.MaxSurge == -1 && u.MaxUnavailable == 0 {
		f.Add("max_unavailable", "use at least 1, or allow a surge", "is 0, and so is max_surge: nothing could be replaced")
	}
	if u.MinReady < 0 || u.MinReady > time.Hour {
		f.Add("min_ready", "use 0s to 1h", "%s is out of range", u.MinReady)
	}
	if u.Failures < -1 {
		f.Add("failures", "use 0 (never go back) or more", "%d is negative", u.Failures)
	}
	if !(u.MaxErrors >= 0 && u.MaxErrors <= 1) {
		f.Add("max_errors", "use a fraction, 0 to 1", "%v is out of range", u.MaxErrors)
	}
	if len(u.Steps) > 0 && u.Strategy != Canary {
		f.Add("steps", `leave them out, or use the strategy "canary"`, "only a canary has steps")
	}
	if len(u.Steps) > 20 {
		f.Add("steps", "use at most 20", "there are %d", len(u.Steps))
	}
	least := 1
	for i, s := range u.Steps {
		at := fmt.Sprintf("steps[%d]", i)
		if s.Weight < least || s.Weight > 99 {
			f.Add(at+".weight", fmt.Sprintf("use %d to 99", least), "%d is out of range", s.Weight)
		}
		least = max(least, s.Weight+1)
		if s.Pause < 0 || s.Pause > 24*time.Hour {
			f.Add(at+".pause", "use 0s to 24h", "%s is out of range", s.Pause)
		}
	}
	return f.Err()
}
