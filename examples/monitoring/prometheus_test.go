package monitoring_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestPrometheusDraws: a real Prometheus with the shipped files scrapes a real
// server with the token, takes the alerts, and has an answer to every query of
// the dashboard.
func TestPrometheusDraws(t *testing.T) {
	address, front := startServer(t)
	dir, listen := copied(t), free(t)
	config, err := os.ReadFile(filepath.Join(dir, "prometheus.yml"))
	require.NoError(t, err)
	faster := strings.NewReplacer("127.0.0.1:3000", address, "15s", "500ms").Replace(string(config))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(faster), 0o600))

	var out syncBuffer
	cmd := exec.Command(program(t, "prometheus"), "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+listen)
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Start())
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}()
	ask := func(path string, into any) bool {
		status, body := get("http://"+listen+path, "")
		return status == http.StatusOK && json.Unmarshal([]byte(body), into) == nil
	}
	results := func(expr string) int {
		var answer struct{ Data struct{ Result []any } }
		if !ask("/api/v1/query?query="+url.QueryEscape(expr), &answer) {
			return -1
		}
		return len(answer.Data.Result)
	}
	require.Eventually(t, func() bool {
		_, _ = get("http://"+front+"/", "")
		return results(`up{job="elastipod"} == 1`) == 1 && results(`count_over_time(elastipod_tick_duration_seconds_count[1m]) >= 6`) == 1
	}, 60*time.Second, 100*time.Millisecond, "nothing is scraped: %s", &out)

	for _, q := range dashboardQueries(t) {
		if strings.HasPrefix(q.where, "annotation ") {
			q.expr = strings.TrimSuffix(q.expr, " > 0") // nothing has happened
		}
		assert.Positive(t, results(q.expr), "%s shows nothing: %s", q.where, q.expr)
	}
	var rules struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, State, LastError string }
			}
		}
	}
	loaded := 0
	require.Eventually(t, func() bool {
		loaded = 0
		if !ask("/api/v1/rules", &rules) {
			return false
		}
		for _, g := range rules.Data.Groups {
			for _, r := range g.Rules {
				if r.Health == "unknown" {
					return false
				}
				assert.Equal(t, "ok", r.Health, "%s: %s", r.Name, r.LastError)
				assert.NotEqual(t, "firing", r.State, "%s fires while all is well", r.Name)
				loaded++
			}
		}
		return true
	}, 30*time.Second, 100*time.Millisecond)
	assert.Equal(t, len(alertQueries(t)), loaded)
}
