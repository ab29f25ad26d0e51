package client_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/client"
	"github.com/elastipod/elastipod/cms/wire"
)

func TestBackupAndRestore(t *testing.T) {
	c, ctx := newCluster(t), t.Context()
	_, err := c.CreatePod(ctx, web, wait)
	require.NoError(t, err)
	var backup bytes.Buffer
	n, err := c.Backup(ctx, &backup)
	require.NoError(t, err)
	assert.EqualValues(t, backup.Len(), n)
	_, err = c.DeletePod(ctx, "web", wait)
	require.NoError(t, err)

	told, err := c.Restore(ctx, bytes.NewReader(backup.Bytes()), client.RestoreOptions{DryRun: true})
	require.NoError(t, err)
	assert.True(t, told.DryRun)
	assert.Equal(t, []string{"web"}, told.Created)
	_, err = c.Pod(ctx, "web")
	require.True(t, client.NotFound(err), "a dry run only tells: %v", err)

	done, err := c.Restore(ctx, bytes.NewReader(backup.Bytes()), client.RestoreOptions{})
	require.NoError(t, err)
	assert.False(t, done.DryRun)
	assert.Equal(t, []string{"web"}, done.Created)
	p, err := c.Pod(ctx, "web")
	require.NoError(t, err)
	assert.Equal(t, web.Workload.Command, p.Workload.Command)

	other := newCluster(t)
	_, err = other.Restore(ctx, bytes.NewReader(backup.Bytes()), client.RestoreOptions{})
	require.True(t, client.Conflict(err), "it is of another cluster: %v", err)
	done, err = other.Restore(ctx, bytes.NewReader(backup.Bytes()), client.RestoreOptions{AnyCluster: true})
	require.NoError(t, err)
	assert.Equal(t, []string{"web"}, done.Created)
	_, err = other.Restore(ctx, strings.NewReader("no backup"), client.RestoreOptions{})
	assert.Equal(t, http.StatusUnprocessableEntity, client.StatusOf(err), "%v", err)
}

// A backup of which a part is missing must not be taken for one.
func TestBackupThatBreaksOff(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "a part")
	}))
	defer server.Close()
	c, err := client.New(client.Config{Server: server.URL})
	require.NoError(t, err)
	defer c.Close()
	var got bytes.Buffer
	n, err := c.Backup(t.Context(), &got)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.EqualValues(t, len("a part"), n)

	full := errors.New("no space left on device")
	_, err = c.Backup(t.Context(), writerThatFails{full})
	require.ErrorIs(t, err, full)
}

type writerThatFails struct{ err error }

func (w writerThatFails) Write([]byte) (int, error) { return 0, w.err }

func TestClockOfTheServer(t *testing.T) {
	now := time.Date(2031, 5, 6, 7, 8, 9, 0, time.UTC)
	date := now.Format(http.TimeFormat)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = []string{date}
	}))
	defer server.Close()
	c, err := client.New(client.Config{Server: server.URL})
	require.NoError(t, err)
	defer c.Close()
	got, err := c.Clock(t.Context())
	require.NoError(t, err)
	assert.Equal(t, now, got)
	date = "half past nine"
	_, err = c.Clock(t.Context())
	assert.ErrorContains(t, err, c.Server()+" does not say what time it is")
}

// Whoever answers in the server's place cannot send the token elsewhere.
func TestRedirectsAreNotFollowed(t *testing.T) {
	var asked atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer elsewhere.Close()
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	c, err := client.New(client.Config{Server: server.URL, Token: secret})
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Pods(t.Context())
	assert.Equal(t, http.StatusTemporaryRedirect, client.StatusOf(err), "%v", err)
	assert.ErrorContains(t, err, "is it an elastipod server?")
	assert.Zero(t, asked.Load())
}

func TestRollouts(t *testing.T) {
	c, ctx := newCluster(t), t.Context()
	_, err := c.CreatePod(ctx, web, wait)
	require.NoError(t, err)
	_, err = c.RegisterNode(ctx, "web", "")
	require.NoError(t, err)
	_, err = c.LaunchNode(ctx, "web", wait)
	require.NoError(t, err)
	never, err := c.Rollouts(ctx, "web")
	require.NoError(t, err)
	assert.Nil(t, never.Rollout)
	require.Len(t, never.Revisions, 1)

	// New nodes must be online for longer than this test, so that it stays amid.
	_, err = c.PatchPod(ctx, "web", client.Patch{
		"workload": map[string]any{"command": []string{"serve", "more"}}, "update": map[string]any{"min_ready": "1h"},
	}, 0)
	require.NoError(t, err)
	p, err := c.PauseRollout(ctx, "web")
	require.NoError(t, err)
	assert.Equal(t, "paused", p.Status.Rollout.State)
	amid, err := c.Rollouts(ctx, "web")
	require.NoError(t, err)
	assert.Equal(t, "paused", amid.Rollout.State)
	require.Len(t, amid.Revisions, 2)
	assert.Equal(t, []string{"serve", "more"}, amid.Revisions[1].Workload.Command)
	p, err = c.ResumeRollout(ctx, "web", 0)
	require.NoError(t, err)
	assert.Equal(t, "progressing", p.Status.Rollout.State)

	_, err = c.PatchPod(ctx, "web", client.Patch{"update": map[string]any{"min_ready": nil}}, wait)
	require.NoError(t, err)
	p, err = c.UndoRollout(ctx, "web", 1, wait)
	require.NoError(t, err)
	assert.Equal(t, web.Workload.Command, p.Workload.Command)
	assert.Equal(t, "done", p.Status.Rollout.State)
	_, err = c.UndoRollout(ctx, "web", 77, 0)
	require.True(t, client.Conflict(err), "%v", err)
	for name, call := range map[string]func() error{
		"rollouts": func() error { _, err := c.Rollouts(ctx, "wbe"); return err },
		"pause":    func() error { _, err := c.PauseRollout(ctx, "wbe"); return err },
		"resume":   func() error { _, err := c.ResumeRollout(ctx, "wbe", wait); return err },
		"undo":     func() error { _, err := c.UndoRollout(ctx, "wbe", 0, wait); return err },
	} {
		assert.True(t, client.NotFound(call()), name)
	}
}

func TestHostIsRemovedWithItsNodes(t *testing.T) {
	c, ctx := newCluster(t), t.Context()
	p := web
	p.Hosts = []string{"third", "spare"}
	_, err := c.AddHost(ctx, wire.Host{Name: "third", Runtime: "fake"})
	require.NoError(t, err)
	_, err = c.CordonHost(ctx, "spare", true)
	require.NoError(t, err)
	_, err = c.CreatePod(ctx, p, wait)
	require.NoError(t, err)
	_, err = c.RegisterNode(ctx, "web", "")
	require.NoError(t, err)
	n, err := c.LaunchNode(ctx, "web", wait)
	require.NoError(t, err)
	require.Equal(t, "third", n.Host)
	_, err = c.RemoveHost(ctx, "third", false, 0)
	require.True(t, client.Conflict(err), "it has a node: %v", err)
	_, err = c.CordonHost(ctx, "spare", false)
	require.NoError(t, err)
	_, err = c.RemoveHost(ctx, "third", true, wait)
	require.NoError(t, err)
	_, err = c.Host(ctx, "third")
	require.True(t, client.NotFound(err), "%v", err)
	require.Eventually(t, func() bool {
		nodes, err := c.Nodes(ctx, "web")
		return err == nil && len(nodes) == 1 && nodes[0].Host == "spare" && nodes[0].State == "online"
	}, 20*time.Second, 10*time.Millisecond)
}
