package state

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/pod"
)

// salvaged returns a node of a pod as its host knows it.
func salvaged(t *testing.T, p *Pod, name string, revision uint64) pod.Salvaged {
	t.Helper()
	text, err := p.SettingsOf(revision, []string{"a", "b"})
	require.NoError(t, err)
	w := p.SpecOf(revision).Workload
	return pod.Salvaged{
		Node: pod.Node{
			ID: pod.NodeID{Pod: p.Spec.Name, Name: name}, Revision: fmt.Sprint(revision), Phase: pod.PhaseRunning, Handle: "c-" + name,
			StartedAt: epoch.Add(time.Duration(len(name)) * time.Minute), Endpoints: map[string]string{"http": "10.0.0.1:8080"},
		},
		Settings: text, Env: w.Env, Entrypoint: w.Entrypoint, Command: w.Command,
	}
}

func TestSettingsGoToANodeAndBack(t *testing.T) {
	p := NewPod(spec("1"), epoch)
	p.Revise(spec("2"), "", epoch)
	p.RevisionOf(1).Pin("sha256:1")
	p.SetWant(4)
	p.SetPaused(true)
	n := salvaged(t, &p, "n1", 2)
	assert.NotContains(t, n.Settings, "s3cret", "nothing secret is carried")
	assert.NotContains(t, n.Settings, "--serve")
	s, err := ReadSettings(n)
	require.NoError(t, err)
	assert.Equal(t, p.Spec, s.Spec)
	assert.Equal(t, p.Elasticity, s.Elasticity)
	assert.Equal(t, NodeSettings{Version: settingsVersion, Spec: p.Spec, Elasticity: p.Elasticity, Want: 4, Paused: true, CreatedAt: epoch, Hosts: []string{"a", "b"}}, s)

	s, err = ReadSettings(salvaged(t, &p, "n1", 1))
	require.NoError(t, err)
	assert.True(t, s.Former)
	assert.Equal(t, "sha256:1", s.Digest)
	assert.Equal(t, "1", s.Spec.Workload.Env["VERSION"])
	assert.Equal(t, "2", p.Spec.Workload.Env["VERSION"])
}

func TestSettingsThatAreTooLong(t *testing.T) {
	big := spec("1")
	for i := range 2000 {
		big.Workload.Env[fmt.Sprintf("VARIABLE_WITH_A_LONG_NAME_%d", i)] = "x"
	}
	p := NewPod(big, epoch)
	_, err := p.SettingsOf(1, nil)
	require.ErrorContains(t, err, "are the most")
}

func TestSettingsThatCannotBeRead(t *testing.T) {
	p := NewPod(spec("1"), epoch)
	for name, c := range map[string]struct {
		change func(*pod.Salvaged)
		want   string
	}{
		"none":            {func(n *pod.Salvaged) { n.Settings = "" }, "it carries no settings"},
		"garbage":         {func(n *pod.Salvaged) { n.Settings = "{" }, "its settings cannot be read"},
		"another version": {func(n *pod.Salvaged) { n.Settings = strings.Replace(n.Settings, `"Version":2`, `"Version":9`, 1) }, "version 9, this program knows version 2"},
		"another pod":     {func(n *pod.Salvaged) { n.Node.ID.Pod = "other" }, `those of pod "web"`},
		"a variable":      {func(n *pod.Salvaged) { n.Env = map[string]string{"VERSION": "1"} }, "its variable SECRET cannot be read back"},
		"arguments":       {func(n *pod.Salvaged) { n.Command = n.Command[:1] }, "its command of 2 words cannot be read back: the host knows 1"},
	} {
		n := salvaged(t, &p, "n1", 1)
		c.change(&n)
		_, err := ReadSettings(n)
		assert.ErrorContains(t, err, c.want, name)
	}
}

func TestRebuild(t *testing.T) {
	p := NewPod(spec("1"), epoch)
	p.RevisionOf(1).Pin("sha256:1")
	old := salvaged(t, &p, "n3", 1)
	p.Revise(spec("2"), "", epoch)
	p.RevisionOf(2).Pin("sha256:2")
	former, current := salvaged(t, &p, "n7", 1), salvaged(t, &p, "n12", 2)
	ended := salvaged(t, &p, "n9", 2)
	ended.Node.Phase = pod.PhaseExited
	got, hosts, err := Rebuild([]Found{{"a", old}, {"b", former}, {"a", ended}, {"b", current}, {"a", current}})
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "b"}, hosts)
	assert.EqualValues(t, 2, got.Revision)
	assert.Equal(t, "2", got.Spec.Workload.Env["VERSION"])
	assert.EqualValues(t, 12, got.Serial)
	assert.Equal(t, 3, got.Want, "as many as there are")
	assert.Equal(t, epoch, got.CreatedAt)
	require.Len(t, got.Nodes, 3, "one that has ended is left, one that is seen twice is there once")
	assert.Equal(t, Node{
		Name: "n3", State: pod.StateOnline, Host: "a", Revision: 1, Handle: "c-n3", Endpoints: map[string]string{"http": "10.0.0.1:8080"},
		CreatedAt: epoch.Add(2 * time.Minute), StartedAt: epoch.Add(2 * time.Minute), ReadyAt: epoch.Add(2 * time.Minute),
	}, got.Nodes[0])
	assert.Equal(t, []string{"n3", "n7", "n12"}, []string{got.Nodes[0].Name, got.Nodes[1].Name, got.Nodes[2].Name})
	assert.Equal(t, "sha256:1", got.RevisionOf(1).Digest)
	assert.Equal(t, "sha256:2", got.RevisionOf(2).Digest)
	assert.True(t, got.RevisionOf(2).Resolved)
}

func TestRebuildOfWhatNobodyKnows(t *testing.T) {
	p := NewPod(spec("1"), epoch)
	good, bad, odd := salvaged(t, &p, "n1", 1), salvaged(t, &p, "n2", 1), salvaged(t, &p, "n3", 1)
	bad.Settings = ""
	_, _, err := Rebuild([]Found{{"a", bad}})
	require.ErrorContains(t, err, "node web/n2 on host a: it carries no settings")
	_, _, err = Rebuild([]Found{{"a", good}, {"a", bad}})
	require.NoError(t, err, "its revision is known from another one")
	bad.Node.Revision = "7"
	_, _, err = Rebuild([]Found{{"a", good}, {"a", bad}})
	require.ErrorContains(t, err, "it carries no settings", "nobody knows what it runs")
	odd.Node.Revision = "26844db0"
	_, _, err = Rebuild([]Found{{"a", good}, {"a", odd}})
	require.ErrorContains(t, err, `its revision "26844db0" is no number`)

	ended := salvaged(t, &p, "n4", 1)
	ended.Node.Phase = pod.PhaseExited
	p.SetWant(3)
	ended.Settings, _ = p.SettingsOf(1, nil)
	got, _, err := Rebuild([]Found{{"a", ended}})
	require.NoError(t, err)
	assert.Empty(t, got.Nodes)
	assert.Equal(t, 3, got.Want, "none is left: as many as were wanted")
}
