package docker

import (
	"errors"
	"log/slog"

	"github.com/elastipod/elastipod/pod"
)

// Config says which engine a [Runtime] uses and for whom.
type Config struct {
	// Cluster is whose nodes the runtime looks after. Required; its name must
	// match [pod.NamePattern], as it becomes part of container names.
	Cluster pod.Cluster
	// Host is the engine, how it is reached and at which addresses its nodes
	// are dialled. Its Address is a unix socket (empty: unix:///var/run/docker.sock),
	// tcp with TLS, or ssh; ssh uses the system's ssh command with its
	// configuration and agent, and never asks for a password.
	Host pod.Host
	// Logger takes what callers cannot see in results, such as statistics that
	// stopped coming. Default: nothing is logged.
	Logger *slog.Logger
}

// withDefaults fills in what is unset.
func (c Config) withDefaults() Config {
	c.Host = c.Host.WithDefaults()
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Logger = c.Logger.With("host", c.Host.Name)
	return c
}

// validate returns every fault as [pod.Faults], or nil.
func (c Config) validate() error {
	var f pod.Faults
	if !pod.ValidName(c.Cluster.Name) {
		f.Add("cluster.name", "use 1 to 40 of a-z, 0-9 and -, a letter first", "%.80q is not a name", c.Cluster.Name)
	}
	if c.Cluster.ID == "" {
		f.Add("cluster.id", "use the id that the cluster's store made", "is empty")
	}
	if err := c.Host.Validate(); err != nil {
		var part pod.Faults
		if !errors.As(err, &part) {
			return err
		}
		f.Nest("host", part)
	}
	return f.Err()
}
