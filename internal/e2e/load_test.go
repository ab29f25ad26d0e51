//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/internal/openloop"
)

// service is a pod whose nodes note the id of each request that they see.
type service struct {
	srv  *server
	name string
	url  string // of its front
	seen string // the file with the ids
}

// service creates a pod of the demo workload, from a file, with the cloud command.
func (s *server) service(name string, edit func(*wire.Pod)) *service {
	s.t.Helper()
	listen := freeAddress(s.t)
	dir := filepath.Join(s.dir, "seen-"+name)
	require.NoError(s.t, os.MkdirAll(dir, 0o777))
	p := wire.Pod{
		Name: name,
		Workload: wire.Workload{
			Ports: map[string]int{"http": 8080},
			Probe: wire.Probe{HTTP: "/healthz"},
			Env:   map[string]string{"SEEN_FILE": filepath.Join(dir, "ids")},
		},
		Limits:   wire.Limits{CPU: wire.Cores(0.15), Memory: wire.Bytes(64 << 20)},
		MaxNodes: 6,
		Fronts:   []wire.Front{{Listen: listen}},
		Security: "strict",
	}
	if s.stack.engine == nil {
		p.Workload.Command = []string{serverBinary, "workload", "light"}
	} else {
		p.Workload.Image = workloadImage
		p.Workload.Command = []string{"workload", "light"}
		p.Workload.Mounts = []wire.Mount{{Type: "bind", Source: dir, Target: dir}}
	}
	p.Security = ""
	if edit != nil {
		edit(&p)
	}
	file := filepath.Join(s.dir, name+".json")
	require.NoError(s.t, os.WriteFile(file, mustJSON(s.t, p), 0o600))
	s.cloud("pod", "register", "-f", file)
	return &service{srv: s, name: name, url: "http://" + listen, seen: filepath.Join(dir, "ids")}
}

// launch registers and launches n nodes by hand.
func (v *service) launch(n int) {
	v.srv.t.Helper()
	for i := range n {
		v.srv.cloud("register", fmt.Sprintf("hand%d", i+1), v.name)
		v.srv.cloud("launch", v.name)
	}
	v.srv.eventually("launched nodes are online", 30*time.Second, func() bool { return v.srv.pod(v.name).Status.Converged })
}

// load sends requests in the background; the function waits for its end.
func (v *service) load(t *testing.T, c openloop.Config) (wait func() openloop.Result) {
	t.Helper()
	c.URL = v.url + c.URL
	if c.Method == "" {
		c.Method = http.MethodPost // no balancer sends it a second time
	}
	c.KeepIDs = true
	type outcome struct {
		r   openloop.Result
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		r, err := openloop.Run(t.Context(), c)
		done <- outcome{r, err}
	}()
	return func() openloop.Result {
		o := <-done
		require.NoError(t, o.err)
		t.Logf("load: %d sent, %d OK, %d failed, p50 %s p95 %s p99 %s max %s", o.r.Sent, o.r.OK, o.r.Failed,
			o.r.Latency.P50, o.r.Latency.P95, o.r.Latency.P99, o.r.Latency.Max)
		return o.r
	}
}

// checkLossless compares what the generator sent with what the nodes saw: every
// request was answered, and every one that was answered was run exactly once.
func (v *service) checkLossless(r openloop.Result) error {
	var errs []error
	if r.Failed > 0 || r.Abandoned > 0 || r.OK != r.Sent {
		errs = append(errs, fmt.Errorf("%d of %d requests failed, %d abandoned: %v %v %v", r.Failed, r.Sent, r.Abandoned, r.Codes, r.Errors, firstOf(r.Failures, 5)))
	}
	text, err := os.ReadFile(v.seen)
	if err != nil {
		return err
	}
	times := map[string]int{}
	for id := range strings.FieldsSeq(string(text)) {
		times[id]++
	}
	lost, twice := 0, 0
	for _, id := range r.OKIDs {
		switch n := times[id]; {
		case n == 0:
			lost++
		case n > 1:
			twice++
		}
	}
	if len(r.OKIDs) != r.OK {
		errs = append(errs, fmt.Errorf("%d ids of %d answers", len(r.OKIDs), r.OK))
	}
	if lost > 0 || twice > 0 {
		errs = append(errs, fmt.Errorf("answered but seen by no node: %d; run more than once: %d", lost, twice))
	}
	return errors.Join(errs...)
}

func firstOf[T any](list []T, n int) []T { return list[:min(n, len(list))] }
