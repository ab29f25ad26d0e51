package monitoring_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// query is PromQL in one of the files, and where.
type query struct{ where, expr string }

type ruleFile struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert, Expr, For    string
			Labels, Annotations map[string]string
		}
	}
}

type panel struct {
	Type, Title, Description string
	GridPos                  struct{ X, Y, W, H int }
	Targets                  []struct{ Expr, LegendFormat string }
}

type dashboard struct {
	Panels     []panel
	Templating struct {
		List []struct{ Name, Definition string }
	}
	Annotations struct{ List []struct{ Name, Expr string } }
}

func alerts(t *testing.T) ruleFile {
	t.Helper()
	data, err := os.ReadFile("alerts.yaml")
	require.NoError(t, err)
	var f ruleFile
	require.NoError(t, yaml.UnmarshalWithOptions(data, &f, yaml.Strict()))
	return f
}

func drawn(t *testing.T) dashboard {
	t.Helper()
	data, err := os.ReadFile("grafana-dashboard.json")
	require.NoError(t, err)
	var d dashboard
	require.NoError(t, json.Unmarshal(data, &d))
	return d
}

// dashboardQueries are the queries of the dashboard, with values for its
// variables.
func dashboardQueries(t *testing.T) []query {
	d := drawn(t)
	var out []query
	for _, p := range d.Panels {
		for _, x := range p.Targets {
			out = append(out, query{"panel " + p.Title, x.Expr})
		}
	}
	for _, a := range d.Annotations.List {
		out = append(out, query{"annotation " + a.Name, a.Expr})
	}
	require.Greater(t, len(out), 40)
	for i := range out {
		out[i].expr = strings.NewReplacer("$instance", ".*", "$pod", ".*", "$__rate_interval", "10s").Replace(out[i].expr)
		assert.NotContains(t, out[i].expr, "$", "%s: a variable that is not replaced", out[i].where)
	}
	return out
}

func alertQueries(t *testing.T) []query {
	var out []query
	for _, g := range alerts(t).Groups {
		for _, r := range g.Rules {
			out = append(out, query{"alert " + r.Alert, r.Expr})
		}
	}
	require.Greater(t, len(out), 9)
	return out
}

var (
	selector = regexp.MustCompile(`\b([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)\s*(?:=~|!~|!=|=)\s*"`)
	grouping = regexp.MustCompile(`\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)`)
	quoted   = regexp.MustCompile(`"[^"]*"`)
	legend   = regexp.MustCompile(`\{\{\s*(?:\$labels\.)?([a-z_]+)\s*\}\}`)
)

// words of PromQL that look like metrics.
var words = []string{
	"and", "or", "unless", "by", "without", "on", "ignoring", "sum", "count", "min", "max", "rate", "increase", "changes", "absent", "vector", "histogram_quantile", "s", "m", "h",
}

// names returns the metrics of a query, each with the labels that it is asked
// for, and the labels by which it groups.
func names(expr string) (metrics map[string][]string, groups []string) {
	metrics = map[string][]string{}
	for _, g := range grouping.FindAllStringSubmatch(expr, -1) {
		for _, l := range strings.Split(g[1], ",") {
			if l = strings.TrimSpace(l); l != "" {
				groups = append(groups, l)
			}
		}
	}
	expr = grouping.ReplaceAllString(expr, "")
	for _, m := range selector.FindAllStringSubmatch(expr, -1) {
		if slices.Contains(words, m[1]) {
			continue
		}
		metrics[m[1]] = append(metrics[m[1]], "")
		for _, l := range matcher.FindAllStringSubmatch(m[2], -1) {
			metrics[m[1]] = append(metrics[m[1]], l[1])
		}
	}
	return metrics, groups
}

// TestNames: the reading of queries that the next test trusts.
func TestNames(t *testing.T) {
	m, g := names(`sum by (pod, le) (rate(a_total{pod=~"x",q!="by"}[5m])) / on(instance) group_left() b > 0.01 and c == 1`)
	assert.Equal(t, map[string][]string{"a_total": {"", "pod", "q"}, "b": {""}, "c": {""}}, m)
	assert.Equal(t, []string{"pod", "le", "instance"}, g)
}

// TestQueriesNameWhatIsThere: alerts and dashboard ask for metrics and labels
// that a server exports, and for no others.
func TestQueriesNameWhatIsThere(t *testing.T) {
	exported := scrape(t)
	ofPrometheus := map[string][]string{"up": nil, "ALERTS": {"alertname", "alertstate", "severity"}}
	every := []string{"job", "instance"} // Prometheus adds them
	all := slices.Clone(every)
	for _, f := range exported {
		all = append(all, f.labels...)
	}
	for _, q := range append(alertQueries(t), dashboardQueries(t)...) {
		metrics, groups := names(q.expr)
		assert.NotEmpty(t, metrics, q.where)
		for name, labels := range metrics {
			known, ok := ofPrometheus[name]
			if !ok {
				f, found := exported[family(exported, name)]
				if !assert.True(t, found, "%s asks for %s, which nobody exports", q.where, name) {
					continue
				}
				known = f.labels
			}
			for _, l := range labels {
				assert.True(t, l == "" || slices.Contains(known, l) || slices.Contains(every, l), "%s: %s has no label %s", q.where, name, l)
			}
		}
		for _, l := range groups {
			assert.Contains(t, append(all, "le"), l, q.where)
		}
	}
	for _, g := range alerts(t).Groups {
		for _, r := range g.Rules {
			for _, text := range r.Annotations {
				for _, l := range legend.FindAllStringSubmatch(text, -1) {
					assert.Contains(t, all, l[1], "alert %s", r.Alert)
				}
			}
		}
	}
	for _, p := range drawn(t).Panels {
		for _, x := range p.Targets {
			for _, l := range legend.FindAllStringSubmatch(x.LegendFormat, -1) {
				assert.Contains(t, all, l[1], "panel %s", p.Title)
			}
		}
	}
	for _, v := range drawn(t).Templating.List[1:] {
		metrics, _ := names(quoted.ReplaceAllString(strings.TrimSuffix(strings.TrimPrefix(v.Definition, "label_values("), ", "+v.Name+")"), `""`))
		assert.Len(t, metrics, 1, v.Definition)
		for name, labels := range metrics {
			require.Contains(t, exported, name)
			for _, l := range append(labels, v.Name) {
				assert.True(t, l == "" || slices.Contains(append(exported[name].labels, every...), l), "%s: %s", v.Definition, l)
			}
		}
	}
}

// family returns the metric that a histogram's series are of.
func family(exported map[string]exportedMetric, name string) string {
	for _, end := range []string{"_bucket", "_sum", "_count"} {
		if base, ok := strings.CutSuffix(name, end); ok && exported[base].kind == "histogram" {
			return base
		}
	}
	return name
}

// TestAlertsAreComplete: each tells what is wrong and what to do.
func TestAlertsAreComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, g := range alerts(t).Groups {
		for _, r := range g.Rules {
			assert.False(t, seen[r.Alert], "%s is there twice", r.Alert)
			seen[r.Alert] = true
			assert.True(t, strings.HasPrefix(r.Alert, "Elastipod"), r.Alert)
			assert.Contains(t, []string{"page", "ticket"}, r.Labels["severity"], r.Alert)
			assert.NotEmpty(t, r.Annotations["summary"], r.Alert)
			assert.Greater(t, len(r.Annotations["runbook"]), 80, "%s says too little of what to do", r.Alert)
		}
	}
	tests, err := os.ReadFile("alerts_test.yaml")
	require.NoError(t, err)
	for name := range seen {
		assert.Regexp(t, `alertname(=|: )"?`+name+`\b`, string(tests), "no test of %s", name)
	}
}

// TestPanels: nothing overlaps, and each says what it shows.
func TestPanels(t *testing.T) {
	taken := map[[2]int]string{}
	for _, p := range drawn(t).Panels {
		if p.Type != "row" {
			assert.NotEmpty(t, p.Description, p.Title)
			assert.NotEmpty(t, p.Targets, p.Title)
		}
		assert.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, p.Title)
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				assert.Empty(t, taken[at], "%s lies over another", p.Title)
				taken[at] = p.Title
			}
		}
	}
}

// TestPromtool: Prometheus takes the files, its unit tests of the alerts pass,
// and it can read every query of the dashboard.
func TestPromtool(t *testing.T) {
	dir := copied(t)
	var rules strings.Builder
	rules.WriteString("groups:\n- name: dashboard\n  rules:\n")
	for i, q := range dashboardQueries(t) {
		fmt.Fprintf(&rules, "  - {record: query_%d, expr: %q}\n", i, q.expr)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "dashboard.yaml"), []byte(rules.String()), 0o600))
	for _, args := range [][]string{
		{"check", "config", "prometheus.yml"},
		{"check", "rules", "alerts.yaml", "dashboard.yaml"},
		{"test", "rules", "alerts_test.yaml"},
	} {
		cmd := exec.Command(program(t, "promtool"), args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		assert.NoError(t, err, "promtool %s: %s", strings.Join(args, " "), out)
	}
}

// program finds a program of Debian's package prometheus.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	require.NoError(t, err, "install the Debian package prometheus: apt-get install --no-install-recommends prometheus")
	return path
}

// copied puts the files that Prometheus reads into a directory of their own.
func copied(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"prometheus.yml", "alerts.yaml", "alerts_test.yaml"} {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "elastipod.token"), []byte(viewerSecret), 0o600))
	return dir
}
