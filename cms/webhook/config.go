package webhook

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/pod"
)

// MaxTargets is the most targets that a [Sender] has: each has a goroutine and
// sends one request at a time.
const MaxTargets = 64

// Bounds and defaults of a [Target].
const (
	defaultTimeout = 10 * time.Second
	maxTimeout     = time.Minute
	defaultGiveUp  = time.Hour
	defaultQueue   = 1000
	maxQueue       = 100_000
	secretPrefix   = "whsec_"
	minSecret      = 24 // bytes, as the specification says
	maxSecret      = 64
)

// Config is what a [Sender] is made of. Fields without a default are required.
type Config struct {
	// Manager is followed; a [cms.Manager] is one.
	Manager manager
	// Targets get the events. Default: none, until SetTargets.
	Targets []Target
	// Flush bounds how long the end waits for events that are queued. Default 2 s.
	Flush time.Duration
	// Version goes into the header User-Agent. Default "dev".
	Version string
	// Logger is told when a target begins to fail, recovers, is disabled or loses
	// events. Default: none.
	Logger *slog.Logger
	// Transport sends the requests. Default: one that verifies TLS and uses the
	// proxy that the environment names.
	Transport http.RoundTripper
}

func (c Config) withDefaults() Config {
	if c.Flush == 0 {
		c.Flush = 2 * time.Second
	}
	if c.Version == "" {
		c.Version = "dev"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c Config) validate() error {
	var f cms.Faults
	if c.Manager == nil {
		f.Add("Manager", "set one: cms.New", "is nil")
	}
	if c.Flush < 0 {
		f.Add("Flush", "use a duration above 0", "%s is negative", c.Flush)
	}
	f.Nest("Targets", checkTargets(c.Targets))
	return wrap(f.Err())
}

func wrap(err error) error {
	if err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	return nil
}

// checkTargets checks each target, and that they can live beside each other.
func checkTargets(all []Target) cms.Faults {
	var f cms.Faults
	if len(all) > MaxTargets {
		f.Add("", fmt.Sprintf("use at most %d", MaxTargets), "%d are too many", len(all))
	}
	names := map[string]bool{}
	for i, t := range all {
		at := fmt.Sprintf("[%d]", i)
		f.Nest(at, t.faults())
		if names[t.Name] && t.Name != "" {
			f.Add(at+".name", "give each target a name of its own", "%q is used twice", t.Name)
		}
		names[t.Name] = true
	}
	return f
}

// Target is where events are sent to.
type Target struct {
	// Name is unique among the targets, and a part of each message's id. 1 to 40 of
	// a-z, 0-9 and -, a letter first.
	Name string
	// URL takes the requests. Only its scheme, host and port are ever shown.
	URL string
	// Insecure allows an URL without TLS to another machine: bodies can be read and
	// held back on the way, but not forged.
	Insecure bool
	// Secrets sign each request: "whsec_" and the base64 of 24 to 64 random bytes.
	// One, or two while a receiver changes from the one to the other.
	Secrets []string
	// Types are the types of events that it gets: a type such as "pod.scaled", a
	// family such as "node" or "node.*", or "*" for all but ticks, which are not
	// sent. Default: [DefaultTypes].
	Types []string
	// Pods are the pods of which it gets events; then it gets none that are about no
	// pod. Default: all.
	Pods []string
	// Timeout bounds one request. Default 10 s, at most 1 m.
	Timeout time.Duration
	// GiveUp is how long an event is tried again after its first attempt. Default
	// 1 h.
	GiveUp time.Duration
	// Queue is how many events may wait; of more the oldest are dropped. Default
	// 1000.
	Queue int
}

// DefaultTypes are the types that a target gets which names none: what changes
// the number of nodes, what fails or is cut, and how roll-outs go.
func DefaultTypes() []string {
	return []string{
		string(cms.EventScaled), string(cms.EventProblem), string(cms.EventNodeFailed), string(cms.EventNodeCut),
		string(cms.EventHostUnreachable), string(cms.EventHostReachable), string(cms.EventStoreFailed), string(cms.EventStoreRecovered), string(cms.EventBalancerIncident), familyRollout,
	}
}

// String returns the target without its secrets and its path.
func (t Target) String() string { return t.Name + " (" + t.origin() + ")" }

// GoString returns the target without its secrets and its path.
func (t Target) GoString() string { return t.String() }

// LogValue returns the target without its secrets and its path.
func (t Target) LogValue() slog.Value { return slog.StringValue(t.String()) }

func (t Target) withDefaults() Target {
	if len(t.Types) == 0 {
		t.Types = DefaultTypes()
	}
	if t.Timeout == 0 {
		t.Timeout = defaultTimeout
	}
	if t.GiveUp == 0 {
		t.GiveUp = defaultGiveUp
	}
	if t.Queue == 0 {
		t.Queue = defaultQueue
	}
	t.Secrets, t.Types, t.Pods = slices.Clone(t.Secrets), slices.Clone(t.Types), slices.Clone(t.Pods)
	return t
}

// origin is what may be shown of the URL.
func (t Target) origin() string {
	u, err := url.Parse(t.URL)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// Validate returns every fault as [cms.Faults], the fields named as in a
// configuration file: name, url, insecure, secrets, types, pods, timeout, give_up
// and queue. No fault holds a secret.
func (t Target) Validate() error { return t.faults().Err() }

func (t Target) faults() cms.Faults {
	var f cms.Faults
	if !pod.ValidName(t.Name) {
		f.Add("name", "use 1 to 40 of a-z, 0-9 and -, a letter first", "%.80q is not a name", t.Name)
	}
	t.checkURL(&f)
	t.checkSecrets(&f)
	for i, name := range t.Types {
		if problem, allowed := checkType(name); problem != "" {
			f.Add(fmt.Sprintf("types[%d]", i), allowed, "%s", problem)
		}
	}
	for i, name := range t.Pods {
		if !pod.ValidName(name) {
			f.Add(fmt.Sprintf("pods[%d]", i), "use names of pods", "%.80q is not a name", name)
		}
	}
	if t.Timeout < 0 || t.Timeout > maxTimeout {
		f.Add("timeout", "use a duration up to 1m", "%s is out of range", t.Timeout)
	}
	if t.GiveUp < 0 || t.GiveUp > 7*24*time.Hour {
		f.Add("give_up", "use a duration up to 168h", "%s is out of range", t.GiveUp)
	}
	if t.Queue < 0 || t.Queue > maxQueue {
		f.Add("queue", fmt.Sprintf("use 1 to %d", maxQueue), "%d is out of range", t.Queue)
	}
	return f
}

func (t Target) checkURL(f *cms.Faults) {
	const allowed = `use an URL such as "https://hooks.example.com/elastipod"`
	u, err := url.Parse(t.URL)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		f.Add("url", allowed, "is not an http or https URL") // its text may hold a secret
	case u.User != nil:
		f.Add("url", allowed+"; requests are signed", "holds a user or a password")
	case u.Fragment != "":
		f.Add("url", allowed, "has a fragment, which is not sent")
	case u.Scheme == "http" && !loopback(u.Hostname()) && !t.Insecure:
		f.Add("url", `use https, or set insecure where the network between is trusted`, "is sent without TLS")
	}
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() || net.ParseIP(host).IsLoopback()
}

func (t Target) checkSecrets(f *cms.Faults) {
	const allowed = `use "whsec_" and the base64 of 24 to 64 random bytes, such as the output of: echo whsec_$(openssl rand -base64 32)`
	if len(t.Secrets) == 0 || len(t.Secrets) > 2 {
		f.Add("secrets", "set one secret, or two while receivers change from the one to the other", "%d are set", len(t.Secrets))
	}
	for i, s := range t.Secrets {
		text, ok := strings.CutPrefix(s, secretPrefix)
		key, err := base64.StdEncoding.DecodeString(text)
		if !ok || err != nil || len(key) < minSecret || len(key) > maxSecret {
			f.Add(fmt.Sprintf("secrets[%d]", i), allowed, "is not a secret of webhooks")
		}
	}
	if len(t.Secrets) == 2 && t.Secrets[0] == t.Secrets[1] {
		f.Add("secrets[1]", "leave it out", "is the same as the first")
	}
}
