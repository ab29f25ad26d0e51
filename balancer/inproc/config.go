package inproc

import (
	"cmp"
	"time"

	"github.com/elastipod/elastipod/balancer"
)

// Config of a [Balancer]. The zero value is good; every field has a default.
type Config struct {
	// ReadHeaderTimeout is how long a request's head may take from its first
	// byte. Default 10 s.
	ReadHeaderTimeout time.Duration
	// MaxHeaderBytes is the greatest head of a request or an answer, in bytes.
	// Default 64 KiB; at least 1 KiB.
	MaxHeaderBytes int
	// CloseGrace is how long Close waits for requests that run before it cuts
	// them. Default 5 s; negative: not at all.
	CloseGrace time.Duration
}

// WithDefaults returns the config with unset fields filled in.
func (c Config) WithDefaults() Config {
	c.ReadHeaderTimeout = cmp.Or(c.ReadHeaderTimeout, 10*time.Second)
	c.MaxHeaderBytes = cmp.Or(c.MaxHeaderBytes, 64<<10)
	c.CloseGrace = cmp.Or(c.CloseGrace, 5*time.Second)
	return c
}

// Validate returns every fault of the config as balancer.Faults, or nil.
func (c Config) Validate() error {
	var l balancer.Faults
	check := func(path string, d, least, most time.Duration) {
		if d != 0 && (d < least || d > most) {
			l.Add(path, "use "+least.String()+" to "+most.String(), "%s is out of range", d)
		}
	}
	check("read_header_timeout", c.ReadHeaderTimeout, time.Millisecond, time.Hour)
	if c.CloseGrace > 0 {
		check("close_grace", c.CloseGrace, time.Millisecond, time.Hour)
	}
	if c.MaxHeaderBytes != 0 && (c.MaxHeaderBytes < 1<<10 || c.MaxHeaderBytes > 16<<20) {
		l.Add("max_header_bytes", "use 1024 to 16777216", "%d is out of range", c.MaxHeaderBytes)
	}
	return l.Err()
}
