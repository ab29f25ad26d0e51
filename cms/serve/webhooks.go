package serve

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/webhook"
	"github.com/elastipod/elastipod/cms/wire"
)

// flushGrace is how long the end waits for events that targets did not take yet.
const flushGrace = 1500 * time.Millisecond

// webhookConfig is a target of webhooks whose secrets lie elsewhere: one, or two
// while receivers change from the one to the other.
type webhookConfig struct {
	Name     string        `json:"name,omitempty"`
	URL      string        `json:"url,omitempty"`
	Env      string        `json:"env,omitempty"`  // variable of the server's environment
	File     string        `json:"file,omitempty"` // file of mode 0600
	Insecure bool          `json:"insecure"`
	Types    []string      `json:"types,omitempty"`
	Pods     []string      `json:"pods,omitempty"`
	Timeout  wire.Duration `json:"timeout,omitempty"`
	GiveUp   wire.Duration `json:"give_up,omitempty"`
	Queue    wire.Count    `json:"queue,omitempty"`
}

// webhooks checks the targets and reads their secrets.
func (r *resolver) webhooks() []webhook.Target {
	var out []webhook.Target
	seen := map[string]bool{}
	for i, c := range r.cfg.Webhooks {
		at := fmt.Sprintf("webhooks[%d]", i)
		t := webhook.Target{
			Name: c.Name, URL: c.URL, Insecure: c.Insecure, Types: c.Types, Pods: c.Pods,
			Timeout: c.Timeout.Std(), GiveUp: c.GiveUp.Std(), Queue: int(c.Queue),
		}
		source, ok := "", false
		if source, t.Secrets, ok = r.webhookSecrets(at, c); !ok {
			t.Secrets = nil
		}
		var faults cms.Faults
		errors.As(t.Validate(), &faults)
		for _, f := range faults {
			if strings.HasPrefix(f.Path, "secrets") {
				if !ok {
					continue // told already
				}
				f.Path = source
			}
			r.faults.Nest(at, cms.Faults{f})
		}
		if seen[c.Name] && c.Name != "" {
			r.faults.Add(at+".name", "give each target a name of its own", "%q is used twice", c.Name)
		}
		seen[c.Name] = true
		out = append(out, t)
	}
	if len(out) > webhook.MaxTargets {
		r.faults.Add("webhooks", fmt.Sprintf("use at most %d", webhook.MaxTargets), "%d are too many", len(out))
	}
	return out
}

// webhookSecrets returns the secrets and the field that names their source.
func (r *resolver) webhookSecrets(at string, c webhookConfig) (source string, secrets []string, ok bool) {
	switch {
	case (c.Env == "") == (c.File == ""):
		r.faults.Add(at, `set "env" or "file"`, "needs exactly one source of its secret")
		return "", nil, false
	case c.Env != "":
		text := r.environ(c.Env)
		if text == "" {
			r.faults.Add(at+".env", "set the variable", "%s is not in the environment", c.Env)
			return "", nil, false
		}
		return "env", strings.Fields(text), true
	}
	data, problem, allowed := r.readSecretFile(r.path("", c.File))
	if problem != "" {
		r.faults.Add(at+".file", allowed, "%s", problem)
		return "", nil, false
	}
	return "file", strings.Fields(string(data)), true
}

// sideMetrics is what Prometheus is told of webhooks and of the audit.
type sideMetrics struct{ sv *server }

var (
	webhookEvents   = prometheus.NewDesc("elastipod_webhook_events_total", "Events that a target of webhooks took (delivered), that it refused or that were given up (failed), and that its queue had no room for (dropped).", []string{"webhook", "result"}, nil)
	webhookAttempts = prometheus.NewDesc("elastipod_webhook_attempts_total", "Requests that were sent to a target of webhooks.", []string{"webhook"}, nil)
	webhookQueue    = prometheus.NewDesc("elastipod_webhook_queued_events", "Events that a target of webhooks did not take yet.", []string{"webhook"}, nil)
	webhookDisabled = prometheus.NewDesc("elastipod_webhook_disabled", "1 after a target of webhooks answered 410 Gone.", []string{"webhook"}, nil)
	auditEntries    = prometheus.NewDesc("elastipod_audit_entries_total", "Writes that the audit was told of.", nil, nil)
	auditLost       = prometheus.NewDesc("elastipod_audit_write_failures_total", "Entries that could not be written to the audit's file and went to the log.", nil, nil)
)

// Describe is of [prometheus.Collector].
func (sideMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{webhookEvents, webhookAttempts, webhookQueue, webhookDisabled, auditEntries, auditLost} {
		ch <- d
	}
}

// Collect is of [prometheus.Collector].
func (m sideMetrics) Collect(ch chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for _, w := range m.sv.hooks.Targets() {
		count(webhookEvents, w.Delivered, w.Name, "delivered")
		count(webhookEvents, w.Failed, w.Name, "failed")
		count(webhookEvents, w.Dropped, w.Name, "dropped")
		count(webhookAttempts, w.Attempts, w.Name)
		gauge(webhookQueue, float64(w.Queued), w.Name)
		disabled := 0.0
		if w.State == "disabled" {
			disabled = 1
		}
		gauge(webhookDisabled, disabled, w.Name)
	}
	told, lost := m.sv.audit.counts()
	count(auditEntries, told)
	count(auditLost, lost)
}
