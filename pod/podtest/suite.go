package podtest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/podtest/internal/program"
)

// Harness is what the suite needs to know of a runtime.
type Harness struct {
	// Open opens the runtime for a cluster, on one and the same host each time.
	// The suite closes it, and may open the same cluster again, with the first
	// one closed or not.
	Open func(t *testing.T, c pod.Cluster) pod.Runtime
	// Workload returns a workload that runs the helper program (see
	// [HelperMain]) with these arguments. The suite adds ports, environment and
	// secrets.
	Workload func(args ...string) pod.Workload
	// Missing is a workload whose image or program does not exist: Prepare and
	// Start must return [pod.ErrImage].
	Missing pod.Workload
	// Unsupported are workloads, by a name for the test, that Prepare and Start
	// must refuse with [pod.ErrUnsupported].
	Unsupported map[string]pod.Workload
	// Fetchable returns a workload like Workload whose image is on no host yet
	// and can be fetched, another one each time. Nil where there are no images.
	Fetchable func(t *testing.T, args ...string) pod.Workload
	// MoveTag makes the image of a workload that Fetchable returned mean other
	// content, with the same program, in the registry. Nil where there are no
	// images.
	MoveTag func(t *testing.T, w pod.Workload)
	// Freeze freezes a running node as somebody else would, such as with docker
	// pause, or thaws it. Nil where nodes cannot be frozen.
	Freeze func(t *testing.T, n pod.Node, on bool)
	// Slack is how much longer than it should a thing may take on this runtime
	// before a test fails. Default 5 s.
	Slack time.Duration
}

// Run runs the whole suite. Every test uses clusters of its own and leaves no
// node behind.
func Run(t *testing.T, h Harness) {
	if h.Slack == 0 {
		h.Slack = 5 * time.Second
	}
	for _, c := range []struct {
		name string
		test func(*suite)
	}{
		{"Life", testLife},
		{"StartIsIdempotent", testStartIsIdempotent},
		{"StartReplacesEnded", testStartReplacesEnded},
		{"StartCancelled", testStartCancelled},
		{"StartSideBySide", testStartSideBySide},
		{"StartSameSideBySide", testStartSameSideBySide},
		{"ExitedAtStart", testExitedAtStart},
		{"Missing", testMissing},
		{"Unsupported", testUnsupported},
		{"Kind", testKind},
		{"StopUnknown", testStopUnknown},
		{"StopGrace", testStopGrace},
		{"StopDeaf", testStopDeaf},
		{"StopKillsAtOnce", testStopKillsAtOnce},
		{"StopTail", testStopTail},
		{"StopTailIsBounded", testStopTailIsBounded},
		{"StopDescendants", testStopDescendants},
		{"ExitDescendants", testExitDescendants},
		{"ExitCode", testExitCode},
		{"ExitSignal", testExitSignal},
		{"Usage", testUsage},
		{"Environment", testEnvironment},
		{"Secrets", testSecrets},
		{"Logs", testLogs},
		{"LogsFollow", testLogsFollow},
		{"LogsUnknown", testLogsUnknown},
		{"Watch", testWatch},
		{"Freeze", testFreeze},
		{"Prepare", testPrepare},
		{"PinnedOwnImage", testPinnedOwnImage},
		{"PinnedByDigest", testPinnedByDigest},
		{"PinnedMissing", testPinnedMissing},
		{"Collect", testCollect},
		{"CollectOfOthers", testCollectOfOthers},
		{"Clusters", testClusters},
		{"Foreign", testForeign},
		{"Salvage", testSalvage},
		{"Reopen", testReopen},
		{"Close", testClose},
		{"Cancelled", testCancelled},
		{"Host", testHost},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &suite{T: t, h: h, client: &http.Client{
				Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true},
			}}
			s.cluster = s.newCluster()
			s.rt = s.open(s.cluster)
			c.test(s)
		})
	}
}

// suite is one test of the suite.
type suite struct {
	*testing.T
	h       Harness
	cluster pod.Cluster
	rt      pod.Runtime
	client  *http.Client
}

func (s *suite) newCluster() pod.Cluster {
	return pod.Cluster{Name: fmt.Sprintf("t%08x", rand.Uint32()), ID: fmt.Sprintf("%016x", rand.Uint64())}
}

// open opens a cluster, and stops its nodes and closes it when the test ends.
func (s *suite) open(c pod.Cluster) pod.Runtime {
	s.Helper()
	rt := s.h.Open(s.T, c)
	s.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if snap, err := rt.Observe(ctx); err == nil {
			for _, n := range snap.Nodes {
				assert.NoError(s, stopError(rt.Stop(ctx, n.ID, 0)))
			}
		}
		assert.NoError(s, rt.Close())
	})
	return rt
}

// workload is a helper with two ports: its own and that of its descendants.
func (s *suite) workload(args ...string) pod.Workload {
	w := s.h.Workload(args...).Clone()
	w.Ports = map[string]int{"http": 8080, program.ChildPort: 8081}
	return pod.Spec{Name: "web", Workload: w}.WithDefaults().Workload
}

func (s *suite) request(name string, args ...string) pod.StartRequest {
	return pod.StartRequest{
		ID:       pod.NodeID{Pod: "web", Name: name},
		Revision: "r1",
		Workload: s.workload(args...),
		Limits:   pod.Limits{CPU: 1, Memory: 128 << 20, PIDs: 256},
	}
}

func (s *suite) start(rt pod.Runtime, r pod.StartRequest) pod.Node {
	s.Helper()
	n, err := rt.Start(s.Context(), r)
	require.NoError(s, err)
	return n
}

// serving starts a helper that serves and waits until it answers.
func (s *suite) serving(name, mode string) pod.Node {
	s.Helper()
	n := s.start(s.rt, s.request(name, mode))
	s.await(n)
	return n
}

// await waits until the node answers.
func (s *suite) await(n pod.Node) {
	s.Helper()
	require.NotEmpty(s, n.Endpoints["http"], "the node has an endpoint")
	var err error
	defer func() {
		if err != nil {
			s.Logf("the last answer: %v", err)
		}
	}()
	s.eventually("node answers at "+n.Endpoints["http"], 10*time.Second, func() bool {
		_, err = s.get(n, "/", nil)
		return err == nil
	})
}

func (s *suite) get(n pod.Node, path string, q url.Values) (string, error) {
	u := "http://" + n.Endpoints["http"] + path + "?" + q.Encode()
	resp, err := s.client.Get(u)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, resp.Status, b)
	}
	return string(b), err
}

// ask is a get that must succeed.
func (s *suite) ask(n pod.Node, path string, pairs ...string) string {
	s.Helper()
	b, err := s.get(n, path, values(pairs))
	require.NoError(s, err)
	return b
}

// order is a get whose answer may be lost, as the node may end by it.
func (s *suite) order(n pod.Node, path string, pairs ...string) {
	_, _ = s.get(n, path, values(pairs))
}

func values(pairs []string) url.Values {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return q
}

// stop stops a node and returns its last output.
func (s *suite) stop(rt pod.Runtime, id pod.NodeID, grace time.Duration) []string {
	s.Helper()
	tail, err := rt.Stop(s.Context(), id, grace)
	require.NoError(s, err)
	return tail
}

// stopError returns what went wrong in a stop.
func stopError(_ []string, err error) error { return err }

func (s *suite) observe(rt pod.Runtime) pod.Snapshot {
	s.Helper()
	snap, err := rt.Observe(s.Context())
	require.NoError(s, err)
	return snap
}

// same checks that a node is seen as it was started.
func (s *suite) same(want pod.Node, seen *pod.Node) {
	s.Helper()
	require.NotNil(s, seen)
	assert.Equal(s, want.Handle, seen.Handle)
	assert.Equal(s, want.Endpoints, seen.Endpoints)
	assert.Equal(s, want.Revision, seen.Revision)
	assert.True(s, want.StartedAt.Equal(seen.StartedAt), "%s and %s", want.StartedAt, seen.StartedAt)
}

// find returns the node as Observe shows it, or nil.
func (s *suite) find(rt pod.Runtime, id pod.NodeID) *pod.Node {
	s.Helper()
	var found *pod.Node
	for _, n := range s.observe(rt).Nodes {
		if n.ID == id {
			require.Nil(s, found, "node %s is listed once", id)
			found = &n
		}
	}
	return found
}

// exited waits for the node to have ended.
func (s *suite) exited(id pod.NodeID) pod.Node {
	s.Helper()
	var n *pod.Node
	s.eventually("node "+id.String()+" is seen as ended", 0, func() bool {
		n = s.find(s.rt, id)
		return n != nil && n.Phase == pod.PhaseExited
	})
	require.NotNil(s, n.Exit)
	return *n
}

func (s *suite) eventually(what string, within time.Duration, ok func() bool) {
	s.Helper()
	deadline := time.Now().Add(within + s.h.Slack)
	for !ok() {
		if time.Now().After(deadline) {
			require.Fail(s, "not in time: "+what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (s *suite) env(n pod.Node) map[string]string {
	s.Helper()
	var env map[string]string
	require.NoError(s, json.Unmarshal([]byte(s.ask(n, "/env")), &env))
	return env
}
