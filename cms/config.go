package cms

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/pod"
)

// Config is what a [Manager] is made of. Fields without a default are required.
type Config struct {
	// Name is the cluster's name; nodes carry it. Default "elastipod".
	Name string
	// Store keeps what must not be lost. The manager does not close it.
	Store Store
	// Balancer takes the requests. The manager does not close it.
	Balancer balancer.Balancer
	// OpenRuntime opens the runtime of a host, at start and when a host is
	// added. The manager closes it.
	OpenRuntime func(ctx context.Context, h pod.Host, c pod.Cluster) (pod.Runtime, error)
	// Hosts are there from the start; hosts in the store come in addition, and
	// a host of the same name keeps only its cordon from there.
	Hosts []pod.Host
	// DefaultPods are what [Manager.Init] creates.
	DefaultPods []PodSpec
	// Policies knows the policies that pods may choose. Default: the built-in ones.
	Policies *elastic.Registry
	// Tick is the time between two turns of a pod's loop. Default 1 s; from
	// 50 ms to 1 min.
	Tick time.Duration
	// StartParallel is how many nodes of one pod are started side by side; starts
	// that are overdue do not count. Default 10.
	StartParallel int
	// History is how many ticks of each pod are kept in memory. Default 3600.
	History int
	// HostTimeout is how long a host may not answer before the nodes on it are
	// replaced on other hosts. Theirs stay in the balancer while they answer.
	// Default 1 min.
	HostTimeout time.Duration
	// TakeOver is for a manager whose store was lost: where the store has no pods
	// and another manager of the same name left nodes on the hosts, it takes over
	// their cluster's id, rebuilds the pods from what the nodes carry, and goes on
	// with them. Every host must answer. The other manager must be gone for good.
	// Without it, such a start is refused with [pod.ErrForeign]. It does nothing
	// where the store has pods.
	TakeOver bool
	// Wall is the wall clock, which tells what is shown and stored. Nothing is
	// decided by it, so it may jump. Default [time.Now].
	Wall func() time.Time
	// KeepImages is how many revisions of each pod, the one that it runs
	// included, keep their images on the hosts, for a way back. Images of older
	// ones and of pods that are gone are removed every hour and after rollouts,
	// where the manager's runtimes fetched them and nobody uses them. Default
	// 3; up to 10, or -1 to remove none.
	KeepImages int
	// Logger gets structured logs. Default: none.
	Logger *slog.Logger
	// TracerProvider gets spans of ticks, of what they begin, and of what is
	// begun by the caller of a command, below the span in its context. Default:
	// none, at no cost.
	TracerProvider trace.TracerProvider
}

// Default values of a [Config].
const (
	DefaultName          = "elastipod"
	DefaultTick          = time.Second
	DefaultStartParallel = 10
	DefaultHistory       = 3600
	DefaultHostTimeout   = time.Minute
	DefaultKeepImages    = 3
)

func (c Config) withDefaults() Config {
	if c.Name == "" {
		c.Name = DefaultName
	}
	if c.Policies == nil {
		c.Policies = elastic.NewRegistry()
	}
	if c.Tick == 0 {
		c.Tick = DefaultTick
	}
	if c.StartParallel == 0 {
		c.StartParallel = DefaultStartParallel
	}
	if c.History == 0 {
		c.History = DefaultHistory
	}
	if c.HostTimeout == 0 {
		c.HostTimeout = DefaultHostTimeout
	}
	if c.Wall == nil {
		c.Wall = time.Now
	}
	if c.KeepImages == 0 {
		c.KeepImages = DefaultKeepImages
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c Config) validate() error {
	var f Faults
	if !pod.ValidName(c.Name) {
		f.Add("Name", "use 1 to 40 of a-z, 0-9 and -, a letter first", "%.80q is not a name", c.Name)
	}
	if c.Store == nil {
		f.Add("Store", "set one, such as boltstore.Open", "is nil")
	}
	if c.Balancer == nil {
		f.Add("Balancer", "set one, such as inproc.New", "is nil")
	}
	if c.OpenRuntime == nil {
		f.Add("OpenRuntime", "set a function that opens pod/process or pod/docker", "is nil")
	}
	if c.Tick < 50*time.Millisecond || c.Tick > time.Minute {
		f.Add("Tick", "use 50ms to 1m", "%s is out of range", c.Tick)
	}
	if c.StartParallel < 1 {
		f.Add("StartParallel", "use at least 1", "%d is too small", c.StartParallel)
	}
	if c.History < 1 {
		f.Add("History", "use at least 1", "%d is too small", c.History)
	}
	if c.HostTimeout < 0 {
		f.Add("HostTimeout", "use at least 1s", "%s is negative", c.HostTimeout)
	}
	if c.KeepImages < -1 || c.KeepImages > state.KeptRevisions {
		f.Add("KeepImages", fmt.Sprintf("use 1 to %d, or -1 to remove none", state.KeptRevisions), "%d is out of range", c.KeepImages)
	}
	seen := map[string]bool{}
	for i, h := range c.Hosts {
		at := fmt.Sprintf("Hosts[%d]", i)
		f.NestErr(at, h.WithDefaults().Validate())
		if seen[h.Name] {
			f.Add(at+".name", "give each host a name of its own", "%q is used twice", h.Name)
		}
		seen[h.Name] = true
	}
	for i, p := range c.DefaultPods {
		f.NestErr(fmt.Sprintf("DefaultPods[%d]", i), p.Validate())
	}
	return f.Err()
}
