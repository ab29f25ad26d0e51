package prom_test

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/elastipod/elastipod/metrics"
	"github.com/elastipod/elastipod/metrics/prom"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func fullState() prom.State {
	v := metrics.V
	return prom.State{
		Pods: []prom.Pod{{
			Name: "web",
			Sample: metrics.Sample{
				At: time.Unix(1_700_000_000, 250e6), Want: 4, Nodes: metrics.Nodes{Starting: 1, Online: 3, Draining: 2, Failed: 5, New: 6, Standby: 7},
				CPU: v(0.91), Memory: v(0.5), InFlight: v(12), Waiting: v(2), Rate: v(100), Errors: v(1), P50: v(0.01), P95: v(0.05), P99: v(0.2),
			},
			Requests: v(12345), Errors: v(6), Elastic: true, Min: 1, Max: 6, Problems: 2, Cut: 3,
		}},
		Balancer: &prom.Balancer{Reachable: true, Fronts: []prom.Front{{
			Name: "web-http", Pod: "web", Requests: v(12345), Errors: v(6), InFlight: v(12), Waiting: v(2), Ready: 3, Draining: 2, Down: 1,
		}}},
		Hosts: []prom.Host{{
			Name: "local", Reachable: true, Nodes: 4,
			CPUCapacity: v(2), CPUReserved: v(1.5), CPUUsed: v(0.4),
			MemoryCapacity: v(8 << 30), MemoryReserved: v(1 << 30), MemoryUsed: v(2 << 30), DiskCapacity: v(100), DiskUsed: v(40),
			ImagesRemoved: v(3), ImageBytesRemoved: v(300 << 20),
		}},
	}
}

func TestExport(t *testing.T) {
	e := prom.New(prom.Config{Source: fullState, Version: "v1.2.3", Revision: "abc"})
	e.CountScale("web", 3, 4)
	e.CountScale("web", 4, 5)
	e.CountScale("web", 5, 1)
	e.CountScale("web", 1, 1)
	e.CountFailure("web")
	require.NoError(t, testutil.CollectAndCompare(e, strings.NewReader(`
# HELP elastipod_pod_nodes Nodes of the pod by state.
# TYPE elastipod_pod_nodes gauge
elastipod_pod_nodes{pod="web",state="draining"} 2
elastipod_pod_nodes{pod="web",state="failed"} 5
elastipod_pod_nodes{pod="web",state="new"} 6
elastipod_pod_nodes{pod="web",state="online"} 3
elastipod_pod_nodes{pod="web",state="standby"} 7
elastipod_pod_nodes{pod="web",state="starting"} 1
# HELP elastipod_pod_wanted_nodes Nodes that the pod should have.
# TYPE elastipod_pod_wanted_nodes gauge
elastipod_pod_wanted_nodes{pod="web"} 4
# HELP elastipod_pod_min_nodes Least nodes that the policy may want, while elasticity is enabled.
# TYPE elastipod_pod_min_nodes gauge
elastipod_pod_min_nodes{pod="web"} 1
# HELP elastipod_pod_max_nodes Most nodes that the policy may want, while elasticity is enabled.
# TYPE elastipod_pod_max_nodes gauge
elastipod_pod_max_nodes{pod="web"} 6
# HELP elastipod_pod_elasticity_enabled Whether a policy decides the number of nodes (1) or people do (0).
# TYPE elastipod_pod_elasticity_enabled gauge
elastipod_pod_elasticity_enabled{pod="web"} 1
# HELP elastipod_pod_cpu_utilization_ratio CPU of the online nodes, mean, as a fraction of a node's limit.
# TYPE elastipod_pod_cpu_utilization_ratio gauge
elastipod_pod_cpu_utilization_ratio{pod="web"} 0.91
# HELP elastipod_pod_memory_utilization_ratio Memory of the online nodes, mean, as a fraction of a node's limit.
# TYPE elastipod_pod_memory_utilization_ratio gauge
elastipod_pod_memory_utilization_ratio{pod="web"} 0.5
# HELP elastipod_pod_in_flight_requests Requests that have been taken and not answered in full, those that wait included.
# TYPE elastipod_pod_in_flight_requests gauge
elastipod_pod_in_flight_requests{pod="web"} 12
# HELP elastipod_pod_waiting_requests Requests in flight that wait for a node.
# TYPE elastipod_pod_waiting_requests gauge
elastipod_pod_waiting_requests{pod="web"} 2
# HELP elastipod_pod_response_time_seconds Quantile q of response times over about the last ten seconds.
# TYPE elastipod_pod_response_time_seconds gauge
elastipod_pod_response_time_seconds{pod="web",q="0.5"} 0.01
elastipod_pod_response_time_seconds{pod="web",q="0.95"} 0.05
elastipod_pod_response_time_seconds{pod="web",q="0.99"} 0.2
# HELP elastipod_pod_requests_total Requests that the pod's fronts have taken.
# TYPE elastipod_pod_requests_total counter
elastipod_pod_requests_total{pod="web"} 12345
# HELP elastipod_pod_request_errors_total Requests that failed: answered with a 5xx status, or not answered.
# TYPE elastipod_pod_request_errors_total counter
elastipod_pod_request_errors_total{pod="web"} 6
# HELP elastipod_pod_cut_requests_total Requests and connections, such as WebSockets, that nodes still had when the deadline of their drain passed.
# TYPE elastipod_pod_cut_requests_total counter
elastipod_pod_cut_requests_total{pod="web"} 3
# HELP elastipod_pod_sample_timestamp_seconds When the pod was last measured, in seconds since 1970.
# TYPE elastipod_pod_sample_timestamp_seconds gauge
elastipod_pod_sample_timestamp_seconds{pod="web"} 1.70000000025e+09
# HELP elastipod_pod_scale_events_total How often the wanted number of nodes was raised (out) or lowered (in).
# TYPE elastipod_pod_scale_events_total counter
elastipod_pod_scale_events_total{direction="in",pod="web"} 1
elastipod_pod_scale_events_total{direction="out",pod="web"} 2
# HELP elastipod_pod_problems Things that are wrong with the pod now; the API says which.
# TYPE elastipod_pod_problems gauge
elastipod_pod_problems{pod="web"} 2
# HELP elastipod_node_failures_total Nodes that could not be started, ended on their own, or stopped answering their probe.
# TYPE elastipod_node_failures_total counter
elastipod_node_failures_total{pod="web"} 1
# HELP elastipod_balancer_reachable Whether the balancer answers (1) or not (0); while it does not, what is told of fronts is old.
# TYPE elastipod_balancer_reachable gauge
elastipod_balancer_reachable 1
# HELP elastipod_front_requests_total Requests that the front has taken.
# TYPE elastipod_front_requests_total counter
elastipod_front_requests_total{front="web-http",pod="web"} 12345
# HELP elastipod_front_request_errors_total Requests to the front that failed: answered with a 5xx status, or not answered.
# TYPE elastipod_front_request_errors_total counter
elastipod_front_request_errors_total{front="web-http",pod="web"} 6
# HELP elastipod_front_in_flight_requests Requests that the front has taken and not answered in full, those that wait included.
# TYPE elastipod_front_in_flight_requests gauge
elastipod_front_in_flight_requests{front="web-http",pod="web"} 12
# HELP elastipod_front_waiting_requests Requests in flight that wait for a server.
# TYPE elastipod_front_waiting_requests gauge
elastipod_front_waiting_requests{front="web-http",pod="web"} 2
# HELP elastipod_front_servers Servers behind the front by state: ready ones take new requests, draining ones finish what they have.
# TYPE elastipod_front_servers gauge
elastipod_front_servers{front="web-http",pod="web",state="draining"} 2
elastipod_front_servers{front="web-http",pod="web",state="ready"} 3
# HELP elastipod_front_down_servers Servers behind the front that do not answer the balancer.
# TYPE elastipod_front_down_servers gauge
elastipod_front_down_servers{front="web-http",pod="web"} 1
# HELP elastipod_host_reachable Whether the host answers (1) or not (0).
# TYPE elastipod_host_reachable gauge
elastipod_host_reachable{host="local"} 1
# HELP elastipod_host_cpu_capacity_cores Cores that the host has.
# TYPE elastipod_host_cpu_capacity_cores gauge
elastipod_host_cpu_capacity_cores{host="local"} 2
# HELP elastipod_host_cpu_reserved_cores Cores that nodes of this cluster have reserved.
# TYPE elastipod_host_cpu_reserved_cores gauge
elastipod_host_cpu_reserved_cores{host="local"} 1.5
# HELP elastipod_host_memory_used_bytes Memory in use on the host, by nodes and all else.
# TYPE elastipod_host_memory_used_bytes gauge
elastipod_host_memory_used_bytes{host="local"} 2.147483648e+09
# HELP elastipod_host_disk_used_bytes Bytes in use on the disk on which nodes' data lies.
# TYPE elastipod_host_disk_used_bytes gauge
elastipod_host_disk_used_bytes{host="local"} 40
# HELP elastipod_host_images_removed_total Images that were removed from the host as nothing needs them any more.
# TYPE elastipod_host_images_removed_total counter
elastipod_host_images_removed_total{host="local"} 3
# HELP elastipod_host_images_removed_bytes_total Size of the images that were removed; the disk gains less where others share layers.
# TYPE elastipod_host_images_removed_bytes_total counter
elastipod_host_images_removed_bytes_total{host="local"} 3.145728e+08
`),
		"elastipod_pod_nodes", "elastipod_pod_wanted_nodes", "elastipod_pod_min_nodes", "elastipod_pod_max_nodes", "elastipod_pod_elasticity_enabled",
		"elastipod_pod_cpu_utilization_ratio", "elastipod_pod_memory_utilization_ratio", "elastipod_pod_in_flight_requests", "elastipod_pod_waiting_requests",
		"elastipod_pod_response_time_seconds", "elastipod_pod_requests_total", "elastipod_pod_request_errors_total", "elastipod_pod_sample_timestamp_seconds",
		"elastipod_pod_scale_events_total", "elastipod_host_reachable", "elastipod_host_cpu_capacity_cores", "elastipod_host_cpu_reserved_cores",
		"elastipod_host_memory_used_bytes", "elastipod_host_disk_used_bytes", "elastipod_host_images_removed_total", "elastipod_host_images_removed_bytes_total", "elastipod_pod_problems", "elastipod_node_failures_total",
		"elastipod_balancer_reachable", "elastipod_front_requests_total", "elastipod_front_request_errors_total", "elastipod_front_in_flight_requests",
		"elastipod_front_waiting_requests", "elastipod_front_servers", "elastipod_front_down_servers"))
}

func TestLint(t *testing.T) {
	e := prom.New(prom.Config{Source: fullState, Version: "v1"})
	e.ObserveTick("web", time.Millisecond)
	e.ObserveStart("web", 260*time.Millisecond)
	e.CountScale("web", 1, 2)
	problems, err := testutil.CollectAndLint(e)
	require.NoError(t, err)
	assert.Empty(t, problems)

	// What the Go runtime and the process add has no fault either.
	problems, err = promlint.New(strings.NewReader(scrape(t, e))).Lint()
	require.NoError(t, err)
	assert.Empty(t, problems)

	// Every metric that is described is also there in a full state, so that the
	// linter has seen them all.
	descs := make(chan *prometheus.Desc, 100)
	e.Describe(descs)
	close(descs)
	text := scrape(t, e)
	for d := range descs {
		name, _, _ := strings.Cut(strings.TrimPrefix(d.String(), `Desc{fqName: "`), `"`)
		assert.Contains(t, text, "# HELP "+name+" ")
	}
}

func TestMissingIsLeftOut(t *testing.T) {
	e := prom.New(prom.Config{Source: func() prom.State {
		return prom.State{
			Pods:  []prom.Pod{{Name: "fresh"}, {Name: "blind", Sample: metrics.Sample{At: time.Unix(1, 0), Want: 2, CPU: metrics.V(math.NaN())}}},
			Hosts: []prom.Host{{Name: "away"}},
		}
	}})
	text := scrape(t, e)
	assert.NotContains(t, text, `elastipod_pod_nodes{pod="fresh"`)
	assert.NotContains(t, text, `elastipod_pod_wanted_nodes{pod="fresh"`)
	assert.Contains(t, text, `elastipod_pod_elasticity_enabled{pod="fresh"} 0`)
	assert.Contains(t, text, `elastipod_pod_wanted_nodes{pod="blind"} 2`)
	for _, name := range []string{"cpu_utilization_ratio", "memory_utilization_ratio", "in_flight_requests", "waiting_requests", "response_time_seconds", "requests_total", "request_errors_total", "min_nodes", "max_nodes"} {
		assert.NotContains(t, text, "elastipod_pod_"+name)
	}
	assert.Contains(t, text, `elastipod_host_reachable{host="away"} 0`)
	assert.NotContains(t, text, "elastipod_host_cpu")
	assert.NotContains(t, text, "elastipod_host_memory")
}

func TestSeriesOfRemovedPodsGo(t *testing.T) {
	state := fullState()
	e := prom.New(prom.Config{Source: func() prom.State { return state }})
	e.ObserveTick("web", 3*time.Millisecond)
	e.ObserveStart("web", 300*time.Millisecond)
	e.CountScale("web", 1, 2)
	text := scrape(t, e)
	assert.Contains(t, text, `elastipod_tick_duration_seconds_count{pod="web"} 1`)
	assert.Contains(t, text, `elastipod_tick_duration_seconds_bucket{pod="web",le="0.0025"} 0`)
	assert.Contains(t, text, `elastipod_tick_duration_seconds_bucket{pod="web",le="0.005"} 1`)
	assert.Contains(t, text, `elastipod_node_start_duration_seconds_sum{pod="web"} 0.3`)
	assert.Contains(t, text, `elastipod_pod_scale_events_total{direction="out",pod="web"} 1`)

	state.Pods, state.Balancer = nil, nil
	assert.NotContains(t, scrape(t, e), `pod="web"`)
}

func TestConfig(t *testing.T) {
	text := scrape(t, prom.New(prom.Config{Namespace: "9My-pods", Version: "v1\xff", Revision: `a"b`}))
	assert.Contains(t, text, `_9my_pods_build_info{goversion="go`)
	assert.Contains(t, text, `revision="a\"b",version="v1�"} 1`)
}

func TestHandler(t *testing.T) {
	e := prom.New(prom.Config{Source: fullState})
	server := httptest.NewServer(e.Handler())
	defer server.Close()
	defer server.Client().CloseIdleConnections()
	response, err := server.Client().Get(server.URL)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, response.StatusCode)
	assert.Contains(t, response.Header.Get("Content-Type"), "text/plain")
	assert.Contains(t, string(body), `elastipod_pod_wanted_nodes{pod="web"} 4`)
	assert.Contains(t, string(body), "go_goroutines")
	assert.Contains(t, string(body), "process_start_time_seconds")
}

func TestConcurrentUse(t *testing.T) {
	e := prom.New(prom.Config{Source: fullState})
	r := prometheus.NewPedanticRegistry()
	require.NoError(t, r.Register(e))
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for range 100 {
				e.ObserveTick(fmt.Sprint("pod-", i), time.Millisecond)
				e.CountScale("web", i, 2)
			}
		})
		all.Go(func() {
			for range 10 {
				_, err := r.Gather()
				assert.NoError(t, err)
			}
		})
	}
	all.Wait()
}

// scrape returns what the exporter answers, in Prometheus' text format.
func scrape(t *testing.T, e *prom.Exporter) string {
	t.Helper()
	w := httptest.NewRecorder()
	e.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())
	return w.Body.String()
}

func ExampleExporter() {
	e := prom.New(prom.Config{Source: func() prom.State {
		return prom.State{Pods: []prom.Pod{{
			Name:   "web",
			Sample: metrics.Sample{At: time.Now(), Want: 3, CPU: metrics.V(0.42)},
		}}}
	}})
	server := httptest.NewServer(e.Handler())
	defer server.Close()

	response, err := server.Client().Get(server.URL)
	if err != nil {
		panic(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	for line := range strings.Lines(string(body)) {
		if strings.HasPrefix(line, "elastipod_pod_wanted") || strings.HasPrefix(line, "elastipod_pod_cpu") {
			fmt.Print(line)
		}
	}
	// Output:
	// elastipod_pod_cpu_utilization_ratio{pod="web"} 0.42
	// elastipod_pod_wanted_nodes{pod="web"} 3
}
