package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/elastipod/elastipod/balancer/balancertest"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/api"
	"github.com/elastipod/elastipod/cms/client"
	"github.com/elastipod/elastipod/cms/cmstest"
	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/podtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "0123456789abcdef"

// cluster is a real manager over fakes, behind a real server.
type cluster struct {
	manager *cms.Manager
	api     *api.API
	server  *httptest.Server
	*client.Client
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	hosts := map[string]*podtest.FakeHost{"local": podtest.NewFakeHost(), "spare": podtest.NewFakeHost(), "third": podtest.NewFakeHost()}
	m, err := cms.New(cms.Config{
		Store: cmstest.NewStore(), Balancer: balancertest.NewFake(), Tick: 50 * time.Millisecond,
		Hosts: []pod.Host{{Name: "local", Runtime: "fake"}, {Name: "spare", Runtime: "fake"}},
		OpenRuntime: func(_ context.Context, h pod.Host, c pod.Cluster) (pod.Runtime, error) {
			return hosts[h.Name].Open(c), nil
		},
		DefaultPods: []cms.PodSpec{{Spec: pod.Spec{Name: "light", Workload: pod.Workload{Command: []string{"serve"}}}}},
	})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { assert.NoError(t, ignoreCanceled(m.Run(ctx))) })
	select {
	case <-m.Ready():
	case <-time.After(10 * time.Second):
		t.Fatal("the manager does not get ready")
	}
	a, err := api.New(api.Config{
		Manager: m, Heartbeat: 100 * time.Millisecond,
		Tokens: []api.Token{{Name: "test", Role: api.Operator, Secret: secret}},
	})
	require.NoError(t, err)
	server := httptest.NewServer(a.Handler())
	c, err := client.New(client.Config{Server: server.URL, Token: secret})
	require.NoError(t, err)
	t.Cleanup(func() {
		c.Close()
		assert.NoError(t, a.Close())
		server.Close()
		stop()
		running.Wait()
	})
	return &cluster{m, a, server, c}
}

func ignoreCanceled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

var web = wire.Pod{
	Name:     "web",
	Workload: wire.Workload{Command: []string{"serve"}, Probe: wire.Probe{None: true}},
	Limits:   wire.Limits{CPU: 0.1, Memory: 32 << 20},
	MaxNodes: 3,
	Drain:    wire.Duration(100 * time.Millisecond),
	Grace:    wire.Duration(100 * time.Millisecond),
}

const wait = client.Wait(20 * time.Second)

// The whole life of a pod, with a real manager behind the API.
func TestLife(t *testing.T) {
	c, ctx := newCluster(t), t.Context()
	require.NoError(t, c.Healthy(ctx))
	require.NoError(t, c.Ready(ctx))
	me, err := c.WhoAmI(ctx)
	require.NoError(t, err)
	assert.Equal(t, wire.WhoAmI{Name: "test", Role: "operator", SignIn: true}, me)

	kinds, err := c.Policies(ctx)
	require.NoError(t, err)
	assert.Equal(t, "clamp", kinds[0].Kind)

	pods, err := c.Init(ctx)
	require.NoError(t, err)
	require.Len(t, pods, 1)

	p, err := c.CreatePod(ctx, web, wait)
	require.NoError(t, err)
	assert.Equal(t, "active", p.Status.State)
	_, err = c.CreatePod(ctx, web, 0)
	assert.True(t, client.Conflict(err), err)

	n, err := c.RegisterNode(ctx, "web", "")
	require.NoError(t, err)
	assert.Equal(t, "new", n.State)
	n, err = c.LaunchNode(ctx, "web", wait)
	require.NoError(t, err)
	assert.Equal(t, "online", n.State, n.Reason)
	nodes, err := c.Nodes(ctx, "web")
	require.NoError(t, err)
	require.Len(t, nodes, 1)
	n, err = c.Node(ctx, "web", n.Name)
	require.NoError(t, err)
	assert.Equal(t, "online", n.State)

	logs, err := c.Logs(ctx, "web", n.Name, client.LogOptions{Tail: 5})
	require.NoError(t, err)
	_, err = io.ReadAll(logs)
	require.NoError(t, err)
	require.NoError(t, logs.Close())

	p, err = c.PausePod(ctx, "web", wait)
	require.NoError(t, err)
	assert.Equal(t, "paused", p.Status.State)
	p, err = c.ResumePod(ctx, "web", wait)
	require.NoError(t, err)
	assert.Equal(t, "active", p.Status.State)

	p, err = c.RestartPod(ctx, "web", wait)
	require.NoError(t, err)
	assert.EqualValues(t, 2, p.Status.Revision)
	assert.Equal(t, "done", p.Status.Rollout.State)
	nodes, err = c.Nodes(ctx, "web")
	require.NoError(t, err)
	require.Len(t, nodes, 1)
	assert.EqualValues(t, 2, nodes[0].Revision)
	assert.NotEqual(t, n.Name, nodes[0].Name, "it is another node")

	e, err := c.PatchElasticity(ctx, "web", client.Patch{"enabled": true, "min": 2, "max": 3}, wait)
	require.NoError(t, err)
	assert.True(t, e.Enabled)
	assert.JSONEq(t, `{"kind":"threshold","lower":0.3,"upper":0.7}`, e.Policy.String())
	nodes, err = c.Nodes(ctx, "web")
	require.NoError(t, err)
	assert.Len(t, nodes, 2, "brought inside its bounds")
	_, err = c.LaunchNode(ctx, "web", 0)
	assert.True(t, client.Conflict(err), err)
	e, err = c.PatchElasticity(ctx, "web", client.Patch{"lower_threshold": 0.2}, 0)
	require.NoError(t, err)
	assert.JSONEq(t, `{"kind":"threshold","lower":0.2,"upper":0.7}`, e.Policy.String())
	read, err := c.Elasticity(ctx, "web")
	require.NoError(t, err)
	assert.Equal(t, e.Policy, read.Policy)
	_, err = c.SetElasticity(ctx, "web", read, 0)
	require.NoError(t, err, "what was read can be written back")
	e, err = c.ResetElasticity(ctx, "web", 0)
	require.NoError(t, err)
	assert.False(t, e.Enabled)

	ticks, err := c.Decisions(ctx, "web", 3)
	require.NoError(t, err)
	require.NotEmpty(t, ticks)
	assert.NotEmpty(t, ticks[0].Reason)
	samples, err := c.Samples(ctx, "web", time.Now().Add(-time.Minute))
	require.NoError(t, err)
	require.NotEmpty(t, samples)
	_, err = c.Balancer(ctx)
	require.NoError(t, err)

	p, err = c.Pod(ctx, "web")
	require.NoError(t, err)
	same, err := c.ReplacePod(ctx, p, wait)
	require.NoError(t, err, "what was read can be written back")
	p.Status, same.Status = nil, nil
	assert.Equal(t, p, same)
	p, err = c.PatchPod(ctx, "web", client.Patch{"max_nodes": 5}, wait)
	require.NoError(t, err)
	assert.Equal(t, wire.Count(5), p.MaxNodes)

	n, err = c.RemoveNode(ctx, "web", nodes[0].Name, wait)
	require.NoError(t, err)
	assert.Equal(t, "gone", n.State)
	p, err = c.DeletePod(ctx, "web", wait)
	require.NoError(t, err)
	assert.Equal(t, "gone", p.Status.State)
	_, err = c.Pod(ctx, "web")
	assert.True(t, client.NotFound(err), err)

	cl, err := c.Cluster(ctx)
	require.NoError(t, err)
	assert.Equal(t, 1, cl.Pods)
	list, err := c.Pods(ctx)
	require.NoError(t, err)
	assert.Len(t, list, 1)
}

func TestHosts(t *testing.T) {
	c, ctx := newCluster(t), t.Context()
	hosts, err := c.Hosts(ctx)
	require.NoError(t, err)
	require.Len(t, hosts, 2)
	h, err := c.CordonHost(ctx, "spare", true)
	require.NoError(t, err)
	assert.True(t, h.Cordoned)
	h, err = c.Host(ctx, "spare")
	require.NoError(t, err)
	assert.True(t, h.Cordoned)
	h, err = c.AddHost(ctx, wire.Host{Name: "third", Runtime: "fake"})
	require.NoError(t, err)
	assert.Equal(t, "third", h.Name)
	_, err = c.RemoveHost(ctx, "third", true, wait)
	require.NoError(t, err)
	_, err = c.Host(ctx, "third")
	assert.True(t, client.NotFound(err), err)
}

func TestErrorsCarryTheProblem(t *testing.T) {
	c, ctx := newCluster(t), t.Context()
	_, err := c.CreatePod(ctx, wire.Pod{Name: "Bad", Workload: wire.Workload{Command: []string{"x"}}}, 0)
	var e *client.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, 422, e.Problem.Status)
	require.Len(t, e.Problem.Errors, 1)
	assert.Equal(t, "name", e.Problem.Errors[0].Path)
	assert.Contains(t, err.Error(), "a-z")

	stranger, err := client.New(client.Config{Server: c.server.URL})
	require.NoError(t, err)
	defer stranger.Close()
	_, err = stranger.Pods(ctx)
	assert.Equal(t, 401, client.StatusOf(err))
	assert.ErrorContains(t, err, "token")
}

var errEnough = errors.New("enough")

func TestEvents(t *testing.T) {
	c, ctx := newCluster(t), t.Context()
	_, err := c.CreatePod(ctx, web, wait)
	require.NoError(t, err)
	var seen []wire.Event
	err = c.Events(ctx, client.EventOptions{Past: true, Types: []string{"pod.created"}}, func(e wire.Event) error {
		seen = append(seen, e)
		return errEnough
	})
	require.ErrorIs(t, err, errEnough)
	assert.Equal(t, "web", seen[0].Pod)
	assert.NotZero(t, seen[0].ID)

	err = c.Events(ctx, client.EventOptions{Ticks: true, Pod: "web", Types: []string{"tick"}}, func(e wire.Event) error {
		require.NotNil(t, e.Tick)
		assert.NotEmpty(t, e.Tick.Reason)
		return errEnough
	})
	require.ErrorIs(t, err, errEnough)
}

// A broken connection is taken up where it was: no event is lost or told twice.
func TestEventsResume(t *testing.T) {
	var mu sync.Mutex
	var from []string
	next := 1
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		from = append(from, r.Header.Get("Last-Event-ID"))
		if len(from) == 2 { // a server that is starting
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = fmt.Fprintf(w, ": hello\n\nid: %d\nevent: pod.updated\ndata: {\"id\":%d,\"at\":\"2026-11-05T10:00:00Z\",\ndata: \"type\":\"pod.updated\"}\n\nid: 99\nevent: half", next, next)
		next++
	}))
	defer server.Close()
	c, err := client.New(client.Config{Server: server.URL})
	require.NoError(t, err)
	defer c.Close()
	var ids []uint64
	var retries int
	err = c.Events(t.Context(), client.EventOptions{Retry: func(error, time.Duration) { retries++ }}, func(e wire.Event) error {
		if ids = append(ids, e.ID); len(ids) == 3 {
			return errEnough
		}
		return nil
	})
	require.ErrorIs(t, err, errEnough)
	assert.Equal(t, []uint64{1, 2, 3}, ids)
	assert.Equal(t, []string{"", "1", "1", "2"}, from, "an event that was cut off does not count")
	assert.Equal(t, 3, retries)
}

func TestEventsGiveUpWhereNothingHelps(t *testing.T) {
	status := http.StatusUnauthorized
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	c, err := client.New(client.Config{Server: server.URL})
	require.NoError(t, err)
	defer c.Close()
	never := func(wire.Event) error { return nil }
	assert.Equal(t, 401, client.StatusOf(c.Events(t.Context(), client.EventOptions{}, never)))
	status = http.StatusOK
	assert.ErrorContains(t, c.Events(t.Context(), client.EventOptions{}, never), "is it an elastipod server?")
	server.Close()
	assert.ErrorContains(t, c.Events(t.Context(), client.EventOptions{}, never), "no answer from")
}

// A server that falls silent without closing the connection is left.
func TestEventsNoticeSilence(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	defer server.Close()
	c, err := client.New(client.Config{Server: server.URL})
	require.NoError(t, err)
	defer c.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	err = c.Events(ctx, client.EventOptions{Silence: 50 * time.Millisecond, Retry: func(err error, _ time.Duration) {
		assert.ErrorContains(t, err, "said nothing")
		cancel(errEnough)
	}}, func(wire.Event) error { return nil })
	assert.ErrorIs(t, err, errEnough)
}

func TestNewRefusesBadServers(t *testing.T) {
	for _, server := range []string{"ftp://x", "http://", "://", "http://user:pass@x", "http://x?y=1", "http://x y"} {
		_, err := client.New(client.Config{Server: server})
		assert.ErrorContains(t, err, "http://127.0.0.1:3000", server)
	}
	_, err := client.New(client.Config{Server: "http://10.0.0.5:3000", Token: secret})
	assert.ErrorContains(t, err, "unencrypted")
	for _, ok := range []client.Config{
		{}, {Server: "localhost:3000", Token: secret}, {Server: "https://10.0.0.5", Token: secret}, {Server: "http://10.0.0.5", Token: secret, Insecure: true},
	} {
		_, err := client.New(ok)
		assert.NoError(t, err)
	}
}

func TestForeignAnswers(t *testing.T) {
	answer := func(w http.ResponseWriter) { _, _ = io.WriteString(w, "<html>") }
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w) }))
	defer server.Close()
	c, err := client.New(client.Config{Server: server.URL})
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Pods(t.Context())
	assert.ErrorContains(t, err, "is it an elastipod server")
	answer = func(w http.ResponseWriter) { http.Error(w, "<html>", http.StatusBadGateway) }
	_, err = c.Pods(t.Context())
	assert.Equal(t, 502, client.StatusOf(err))
	assert.ErrorContains(t, err, "is it an elastipod server?")
	answer = func(w http.ResponseWriter) { w.Header().Set("Retry-After", "2"); w.WriteHeader(503) }
	_, err = c.Pods(t.Context())
	var e *client.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, 2*time.Second, e.RetryAfter)
}
