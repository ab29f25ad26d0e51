package prom_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/elastipod/elastipod/metrics/prom"
)

// BenchmarkScrape is a scrape of clusters of 10 and 100 pods, with a front each
// and a host for ten.
func BenchmarkScrape(b *testing.B) {
	for _, pods := range []int{10, 100} {
		for _, encoding := range []string{"identity", "gzip"} {
			b.Run(fmt.Sprintf("pods=%d/%s", pods, encoding), func(b *testing.B) {
				one := fullState()
				state := prom.State{Balancer: &prom.Balancer{Reachable: true}}
				for i := range pods {
					p, f := one.Pods[0], one.Balancer.Fronts[0]
					p.Name = fmt.Sprintf("pod-%03d", i)
					f.Name, f.Pod = p.Name, p.Name
					state.Pods, state.Balancer.Fronts = append(state.Pods, p), append(state.Balancer.Fronts, f)
					if i%10 == 0 {
						h := one.Hosts[0]
						h.Name = fmt.Sprintf("host-%02d", i/10)
						state.Hosts = append(state.Hosts, h)
					}
				}
				e := prom.New(prom.Config{Source: func() prom.State { return state }})
				for i := range state.Pods {
					e.ObserveTick(state.Pods[i].Name, time.Millisecond)
					e.ObserveStart(state.Pods[i].Name, time.Second)
				}
				handler := e.Handler()
				r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
				r.Header.Set("Accept-Encoding", encoding)
				size := 0
				b.ReportAllocs()
				for b.Loop() {
					w := httptest.NewRecorder()
					handler.ServeHTTP(w, r)
					size = w.Body.Len()
				}
				b.ReportMetric(float64(size), "B/scrape")
			})
		}
	}
}
