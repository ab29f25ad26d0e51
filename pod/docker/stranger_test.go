package docker

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/pod"
)

// oddEngine answers inspections with what a test gives it.
type oddEngine struct {
	*fakeEngine
	inspected container.InspectResponse
}

func (e *oddEngine) ContainerInspect(context.Context, string) (container.InspectResponse, error) {
	return e.inspected, nil
}

// streamOfNothing is a stream of statistics that never says anything.
func streamOfNothing() io.ReadCloser {
	r, _ := io.Pipe()
	return r
}

// copyOf puts a container beside a node that has all of the node's labels, as
// one of an image that "docker commit" made of the node has.
func (e *fakeEngine) copyOf(t *testing.T, handle, name string) string {
	t.Helper()
	e.mu.Lock()
	image, labels := e.containers[handle].config.Image, e.containers[handle].config.Labels
	e.mu.Unlock()
	made, err := e.ContainerCreate(t.Context(), &container.Config{Image: image, Labels: labels}, nil, nil, nil, name)
	require.NoError(t, err)
	require.NoError(t, e.ContainerStart(t.Context(), made.ID, container.StartOptions{}))
	return made.ID
}

func TestLabelsAloneMakeNoNode(t *testing.T) {
	e := newFakeEngine()
	e.stats = streamOfNothing
	var said strings.Builder
	r := e.open(t, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&said, nil)) })
	n, err := r.Start(t.Context(), startRequest())
	require.NoError(t, err)
	copied := e.copyOf(t, n.Handle, "my-debugging")
	for range 2 {
		snap, err := r.Observe(t.Context())
		require.NoError(t, err)
		require.Len(t, snap.Nodes, 1)
		assert.Equal(t, n.Handle, snap.Nodes[0].Handle)
	}
	assert.Equal(t, 1, strings.Count(said.String(), "it is left alone"), "said once: %s", said.String())
	assert.Contains(t, said.String(), "my-debugging")

	var told []pod.Event
	for _, name := range []string{"my-debugging", "c.web.n1"} {
		attributes := map[string]string{"name": name}
		for k, v := range e.containers[copied].config.Labels {
			attributes[k] = v
		}
		r.tell(events.Message{Action: events.ActionDie, Actor: events.Actor{ID: copied, Attributes: attributes}}, func(e pod.Event) { told = append(told, e) })
	}
	assert.Equal(t, []pod.Event{{Node: n.ID, Kind: pod.EventEnded}}, told)

	other := e.open(t, func(c *Config) { c.Cluster.ID = "fedcba9876543210" })
	left, err := other.Salvage(t.Context())
	require.NoError(t, err)
	require.Len(t, left, 1, "neither is it taken over")
	assert.Equal(t, n.Handle, left[0].Node.Handle)

	require.NoError(t, stopError(r.Stop(t.Context(), n.ID, 0)))
	assert.Equal(t, 1, e.left(), "the copy is not stopped")
}

// Engines of other makes may leave out what Docker always tells.
func TestInspectionThatIsNotComplete(t *testing.T) {
	for _, answer := range []string{`{}`, `{"Id":"x"}`, `{"Id":"x","State":{}}`, `{"Id":"x","Config":{}}`} {
		e := newFakeEngine()
		r := e.open(t)
		n, err := r.Start(t.Context(), startRequest())
		require.NoError(t, err)
		odd := &oddEngine{fakeEngine: e}
		require.NoError(t, json.Unmarshal([]byte(answer), &odd.inspected))
		r.api = odd
		r.forget()
		const want = "is not complete"
		_, err = r.Observe(t.Context())
		require.ErrorContains(t, err, want, answer)
		assert.NotErrorIs(t, err, pod.ErrUnreachable, "it did answer")
		require.ErrorContains(t, stopError(r.Stop(t.Context(), n.ID, 0)), want, answer)
		_, err = r.Logs(t.Context(), n.ID, pod.LogOptions{})
		require.ErrorContains(t, err, want, answer)
		_, err = r.Start(t.Context(), startRequest())
		require.ErrorContains(t, err, want, answer)
		assert.Equal(t, 1, e.left(), "nothing is removed on the strength of that")
		odd.fakeEngine.containers[n.Handle].config.Labels[LabelClusterID] = "of another manager"
		_, err = r.Salvage(t.Context())
		require.ErrorContains(t, err, want, answer)
	}
}

func TestNamesThatNoNodeHas(t *testing.T) {
	e := newFakeEngine()
	r := e.open(t)
	for _, id := range []pod.NodeID{{}, {Pod: "web"}, {Pod: "web", Name: "N1"}, {Pod: "a.b", Name: "c"}} {
		_, err := r.Start(t.Context(), startRequest(func(q *pod.StartRequest) { q.ID = id }))
		require.ErrorContains(t, err, "is not a node's name", id)
	}
	assert.Zero(t, e.left())
}
