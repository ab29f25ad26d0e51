package prom_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/metrics/prom"
)

// TestTableOfMetrics: the table says of each metric what is exported, and names
// no other.
func TestTableOfMetrics(t *testing.T) {
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, section, ok := strings.Cut(string(text), "\n## Pods, hosts, balancer, manager\n")
	require.True(t, ok)
	section, _, _ = strings.Cut(section, "\n## ")
	var told []string
	for line := range strings.Lines(section) {
		if strings.HasPrefix(line, "| `") {
			told = append(told, strings.TrimSpace(line))
		}
	}
	assert.IsIncreasing(t, told)
	assert.ElementsMatch(t, exported(t), told)
}

// exported returns a row for each metric of a full state.
func exported(t *testing.T) []string {
	e := prom.New(prom.Config{Source: fullState, Version: "v1"})
	e.ObserveTick("web", time.Millisecond)
	e.ObserveStart("web", time.Millisecond)
	r := prometheus.NewPedanticRegistry()
	require.NoError(t, r.Register(e))
	families, err := r.Gather()
	require.NoError(t, err)
	rows := make([]string, 0, len(families))
	for _, f := range families {
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, "`"+l.GetName()+"`")
		}
		rows = append(rows, "| "+strings.Join([]string{
			"`" + f.GetName() + "`", strings.ToLower(f.GetType().String()), unitOf(t, f.GetName()), strings.Join(labels, ", "), f.GetHelp(),
		}, " | ")+" |")
	}
	return rows
}

// unitOf is what the end of a metric's name says of its unit.
func unitOf(t *testing.T, name string) string {
	for _, u := range [][2]string{
		{"_timestamp_seconds", "seconds since 1970"},
		{"_seconds", "seconds"}, {"_bytes", "bytes"}, {"_cores", "cores"}, {"_ratio", "fraction"},
		{"_nodes", "nodes"}, {"_servers", "servers"}, {"_problems", "problems"}, {"_requests", "requests"},
		{"_requests_total", "requests"}, {"_errors_total", "requests"}, {"_events_total", "events"}, {"_failures_total", "nodes"},
		{"_removed_bytes_total", "bytes"}, {"_images_removed_total", "images"},
		{"_reachable", "0 or 1"}, {"_cordoned", "0 or 1"}, {"_enabled", "0 or 1"}, {"_info", "1"},
	} {
		if strings.HasSuffix(name, u[0]) {
			return u[1]
		}
	}
	require.Fail(t, "the name tells no unit", name)
	return ""
}
