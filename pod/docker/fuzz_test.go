package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/pod"
)

// What an engine says is not of our making: another program may have made the
// containers, and the engine itself may be of another make or version.

// oddList is an oddEngine that also lists what a test gives it.
type oddList struct {
	*oddEngine
	listed  []container.Summary
	removed []string
}

func (e *oddList) ContainerList(context.Context, container.ListOptions) ([]container.Summary, error) {
	return e.listed, nil
}

func (e *oddList) ContainerStop(_ context.Context, id string, _ container.StopOptions) error {
	e.removed = append(e.removed, id)
	return nil
}

func (e *oddList) ContainerRemove(_ context.Context, id string, _ container.RemoveOptions) error {
	e.removed = append(e.removed, id)
	return nil
}

func (e *oddList) ContainerLogs(context.Context, string, container.LogsOptions) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(e.logs)), nil
}

// recorded reads an answer of a real engine.
func recorded(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("testdata/recorded", name))
	require.NoError(tb, err)
	return b
}

var recordedCluster = pod.Cluster{Name: "rec", ID: "00112233445566778899aabbccddeeff"}

func FuzzContainers(f *testing.F) {
	list, inspect, logs := recorded(f, "list.json"), recorded(f, "inspect.json"), recorded(f, "logs.bin")
	f.Add(list, inspect, logs)
	f.Add(list, recorded(f, "inspect-exited.json"), logs)
	f.Add(bytes.ReplaceAll(list, []byte(recordedCluster.ID), []byte("another")), inspect, logs)
	f.Add(list, []byte(`{}`), []byte(nil))
	f.Add([]byte(`[{"Id":"x","Names":["/rec.web.n1"],"State":"dead","Labels":{"io.elastipod.cluster":"rec","io.elastipod.kind":"node"}}]`), inspect, logs)
	f.Fuzz(func(t *testing.T, list, inspect, logs []byte) {
		e := &oddList{oddEngine: &oddEngine{fakeEngine: newFakeEngine()}}
		if json.Unmarshal(list, &e.listed) != nil || json.Unmarshal(inspect, &e.inspected) != nil {
			return
		}
		e.logs = string(logs)
		lookAt(t, e)
	})
}

// FuzzLabels is FuzzContainers with what another program may choose.
func FuzzLabels(f *testing.F) {
	f.Add("/rec.web.n1", "rec", recordedCluster.ID, "node", "web", "n1", "http=80,admin=81", "running", "Up 2 minutes (healthy)", "172.17.0.2", 0, "out\n")
	f.Add("/rec.web.n1", "rec", "another", "node", "web", "n1", "http=-80,=7,x=99999", "exited", "Exited (137)", "", 1, strings.Repeat("\u00e4", 1001))
	f.Add("/rec.web.n1", "rec", recordedCluster.ID, "job", "web", "n1", "", "paused", "Up 2 minutes (Paused)", "172.17.0.2", 0, "out\n")
	f.Add("/mine", "rec", recordedCluster.ID, "node", "web", "n1", "", "paused", "", "::1", -1, "")
	f.Add("/rec.a.b.c", "rec", recordedCluster.ID, "node", "a.b", "c", "http=0", "created", "", "", 0, "")
	f.Add("/rec..", "rec", recordedCluster.ID, "node", "", "", "", "restarting", "", "x", 0, "")
	f.Fuzz(func(t *testing.T, name, cluster, clusterID, kind, podName, node, ports, state, status, address string, code int, logs string) {
		labels := map[string]string{
			LabelCluster: cluster, LabelClusterID: clusterID, LabelKind: kind, LabelPod: podName, LabelNode: node, LabelPorts: ports,
		}
		at := container.NetworkSettingsSummary{Networks: map[string]*network.EndpointSettings{"bridge": {IPAddress: address}, "none": nil}}
		e := &oddList{oddEngine: &oddEngine{fakeEngine: newFakeEngine()}}
		e.listed = []container.Summary{{
			ID: "x", Names: []string{name}, Labels: labels, State: state, Status: status, NetworkSettings: &at,
			Ports: []container.Port{{PrivatePort: 80, PublicPort: uint16(code), Type: "tcp"}},
		}}
		running := state == container.StateRunning || state == container.StatePaused
		e.inspected = container.InspectResponse{
			ContainerJSONBase: &container.ContainerJSONBase{ID: "x", Name: name, State: &container.State{
				Status: state, Running: running, Paused: state == container.StatePaused, ExitCode: code, StartedAt: status, FinishedAt: status, Error: logs,
			}},
			Config:          &container.Config{Labels: labels, Env: []string{logs}},
			NetworkSettings: &container.NetworkSettings{Networks: at.Networks},
		}
		var framed bytes.Buffer
		_, _ = stdcopy.NewStdWriter(&framed, stdcopy.Stdout).Write([]byte(logs))
		e.logs = framed.String()
		lookAt(t, e)
	})
}

// lookAt observes, salvages and stops what an engine says that it has.
func lookAt(t *testing.T, e *oddList) {
	t.Helper()
	e.stats = streamOfNothing
	r := e.open(t, func(c *Config) { c.Cluster = recordedCluster })
	r.api = e
	if snap, err := r.Observe(t.Context()); err == nil {
		for _, n := range snap.Nodes {
			sound(t, n)
			assert.True(t, listedAs(e.listed, n, recordedCluster.ID), "node %s was adopted", n.ID)
		}
	}
	if left, err := r.Salvage(t.Context()); err == nil {
		for _, s := range left {
			sound(t, s.Node)
			assert.NotEqual(t, recordedCluster.ID, s.ClusterID)
		}
	}
	id := pod.NodeID{Pod: "web", Name: "n1"}
	ours := e.inspected.Config != nil && r.ours(e.inspected.Config.Labels, id)
	if err := stopError(r.Stop(t.Context(), id, 0)); err == nil && !ours {
		assert.Empty(t, e.removed, "what is not ours is not removed")
	}
}

// listedAs says whether the node was listed with its own name and our labels.
func listedAs(list []container.Summary, n pod.Node, clusterID string) bool {
	for _, c := range list {
		if c.ID != n.Handle || c.Labels[LabelClusterID] != clusterID || nodeKind(c.Labels) != n.Kind || nodeID(c.Labels) != n.ID {
			continue
		}
		for _, name := range c.Names {
			if name == "/"+recordedCluster.Name+"."+n.ID.Pod+"."+n.ID.Name {
				return true
			}
		}
	}
	return false
}

// sound checks that a node is one that callers can do with.
func sound(t *testing.T, n pod.Node) {
	t.Helper()
	assert.True(t, pod.ValidName(n.ID.Pod) && pod.ValidName(n.ID.Name), "%q", n.ID)
	assert.Contains(t, []pod.NodeKind{pod.NodeService, pod.NodeJob}, n.Kind)
	assert.Contains(t, []pod.Phase{pod.PhaseRunning, pod.PhaseFrozen, pod.PhaseExited}, n.Phase)
	assert.Equal(t, n.Phase == pod.PhaseExited, n.Exit != nil)
	for _, at := range n.Endpoints {
		_, port, err := net.SplitHostPort(at)
		assert.NoError(t, err)
		number, err := strconv.ParseUint(port, 10, 16)
		assert.NoError(t, err)
		assert.NotZero(t, number)
	}
	soundUsage(t, n.Usage)
	if n.Exit != nil {
		assert.LessOrEqual(t, len(n.Exit.LastLog), pod.LastLogLines)
		assert.True(t, utf8.ValidString(n.Exit.Reason()))
		for _, line := range n.Exit.LastLog {
			assert.LessOrEqual(t, len(line), 1100)
		}
	}
}

func soundUsage(t *testing.T, u pod.Usage) {
	t.Helper()
	assert.GreaterOrEqual(t, u.CPU, time.Duration(0))
	assert.GreaterOrEqual(t, u.Memory, int64(0))
	assert.False(t, u.At.After(time.Now()), "%s is to come", u.At)
}

func FuzzEvents(f *testing.F) {
	for line := range bytes.Lines(recorded(f, "events.jsonl")) {
		var m events.Message
		require.NoError(f, json.Unmarshal(line, &m))
		a := m.Actor.Attributes
		f.Add(string(m.Action), m.Actor.ID, a["name"], a[LabelCluster], a[LabelClusterID], a[LabelKind], a[LabelPod], a[LabelNode])
	}
	f.Add("pause", "x", "rec.web.n1", "rec", recordedCluster.ID, "job", "web", "n1")
	f.Add("die", "x", "mine", "rec", recordedCluster.ID, "node", "web", "n1")
	f.Add("health_status: unhealthy", "x", "rec.web.n1", "rec", recordedCluster.ID, "node", "web", "n1")
	f.Fuzz(func(t *testing.T, action, id, name, cluster, clusterID, kind, podName, node string) {
		r := newFakeEngine().open(t, func(c *Config) { c.Cluster = recordedCluster })
		text, err := json.Marshal(events.Message{Action: events.Action(action), Actor: events.Actor{ID: id, Attributes: map[string]string{
			"name": name, LabelCluster: cluster, LabelClusterID: clusterID, LabelKind: kind, LabelPod: podName, LabelNode: node,
		}}})
		require.NoError(t, err)
		var m events.Message
		require.NoError(t, json.Unmarshal(text, &m))
		r.tell(m, func(e pod.Event) {
			assert.Equal(t, recordedCluster, pod.Cluster{Name: cluster, ID: clusterID}, "an event of a stranger was told")
			assert.Contains(t, []pod.NodeKind{pod.NodeService, pod.NodeJob}, pod.NodeKind(kind))
			assert.Equal(t, name, r.containerName(e.Node))
			assert.True(t, pod.ValidName(e.Node.Pod) && pod.ValidName(e.Node.Name))
			assert.Contains(t, []pod.EventKind{pod.EventStarted, pod.EventEnded, pod.EventHealth, pod.EventFrozen, pod.EventThawed}, e.Kind)
		})
	})
}

func FuzzStatistics(f *testing.F) {
	f.Add(recorded(f, "stats.jsonl"))
	f.Add([]byte(sampleV1 + sampleV2 + sampleStopped))
	f.Add([]byte(`{"read":"2026-11-23T20:00:00Z","cpu_stats":{"cpu_usage":{"total_usage":18446744073709551615}},"memory_stats":{"usage":18446744073709551615}}`))
	f.Fuzz(func(t *testing.T, stream []byte) {
		e := newFakeEngine()
		e.stats = func() io.ReadCloser { return io.NopCloser(bytes.NewReader(stream)) }
		r := e.open(t)
		var s statsStream
		require.Error(t, r.follow(t.Context(), "x", &s), "it ends")
		soundUsage(t, s.sample)
		// Sample by sample, of a container that is started again each time that its
		// CPU time falls: the sum only grows.
		k := r.entry("x")
		var last time.Duration
		for d := json.NewDecoder(bytes.NewReader(stream)); ; {
			var sample container.StatsResponse
			if d.Decode(&sample) != nil {
				return
			}
			u, ok := usageOf(sample)
			if !ok {
				continue
			}
			u.At = time.Now()
			k.usage.stream = &statsStream{cancel: func() {}, sample: u}
			sum := r.usage("x", k, &facts{})
			soundUsage(t, sum)
			if sum.CPU < maxCPU { // a hundred years on, nobody minds
				assert.GreaterOrEqual(t, sum.CPU, last)
				last = sum.CPU
			}
		}
	})
}

func FuzzCgroupFiles(f *testing.F) {
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join("testdata/cgroup", name))
		require.NoError(f, err)
		return b
	}
	v2 := "v2-cgroupfs/sys/fs/cgroup/docker/" + fixtureID + "/"
	f.Add(read("v2-cgroupfs/proc/4242/cgroup"), read(v2+"cpu.stat"), read(v2+"memory.current"), read(v2+"memory.stat"))
	v1 := "v1-cgroupfs/sys/fs/cgroup/"
	f.Add(read("v1-cgroupfs/proc/4242/cgroup"), read(v1+"cpuacct/docker/"+fixtureID+"/cpuacct.usage"),
		read(v1+"memory/docker/"+fixtureID+"/memory.usage_in_bytes"), read(v1+"memory/docker/"+fixtureID+"/memory.stat"))
	f.Add([]byte("0::/../../"+fixtureID+"\n"), []byte("usage_usec 9223372036854775807\n"), []byte("max\n"), []byte("inactive_file -1\n"))
	f.Fuzz(func(t *testing.T, self, cpu, memory, stat []byte) {
		root := t.TempDir()
		put := func(name string, content []byte) {
			path := filepath.Join(root, name)
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
			require.NoError(t, os.WriteFile(path, content, 0o600))
		}
		put("proc/7/cgroup", self)
		for _, dir := range []string{"sys/fs/cgroup/docker/", "sys/fs/cgroup/cpuacct/docker/", "sys/fs/cgroup/memory/docker/"} {
			put(dir+fixtureID+"/cpu.stat", cpu)
			put(dir+fixtureID+"/cpuacct.usage", cpu)
			put(dir+fixtureID+"/memory.current", memory)
			put(dir+fixtureID+"/memory.usage_in_bytes", memory)
			put(dir+fixtureID+"/memory.stat", stat)
		}
		found, err := cgroupRoot(root).find(7, fixtureID)
		if err != nil {
			return
		}
		for _, path := range []string{found.cpu, found.memory, found.stat} {
			assert.Contains(t, path, fixtureID, "only files of the container's own are read")
		}
		u, err := found.read()
		require.NoError(t, err)
		soundUsage(t, u)
	})
}

func FuzzPull(f *testing.F) {
	f.Add(recorded(f, "pull.jsonl"))
	f.Add([]byte(`{"errorDetail":{"message":"manifest unknown"},"error":"manifest unknown"}`))
	f.Add([]byte(`{"error":"no space left"}`))
	f.Add([]byte(`{"id":"a","status":"Downloading","progressDetail":{"current":-5,"total":9223372036854775807}}`))
	f.Fuzz(func(t *testing.T, stream []byte) {
		var all []pod.Progress
		err := readPull(bytes.NewReader(stream), "app", func(p pod.Progress) { all = append(all, p) })
		require.NotEmpty(t, all)
		for _, p := range all {
			assert.Equal(t, "pulling app", p.Message)
			assert.True(t, 0 <= p.Done && p.Done <= p.Total, "%d of %d", p.Done, p.Total)
			assert.GreaterOrEqual(t, 100*p.Done, p.Done, "a percentage can be made of it")
		}
		if err != nil {
			assert.NotEmpty(t, err.Error())
			assert.False(t, errors.Is(err, io.EOF))
		}
	})
}
