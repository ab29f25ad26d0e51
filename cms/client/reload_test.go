package client_test

import (
	"context"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer/balancertest"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/api"
	"github.com/elastipod/elastipod/cms/client"
	"github.com/elastipod/elastipod/cms/cmstest"
	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/pod"
)

func TestReload(t *testing.T) {
	m, err := cms.New(cms.Config{
		Store: cmstest.NewStore(), Balancer: balancertest.NewFake(),
		OpenRuntime: func(context.Context, pod.Host, pod.Cluster) (pod.Runtime, error) { return nil, pod.ErrUnreachable },
	})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	<-m.Ready()
	next := wire.Reload{Changed: []wire.ReloadChange{{Path: "log.level", From: "info", To: "debug", Applied: true}}, NeedsRestart: []wire.ReloadChange{}}
	a, err := api.New(api.Config{Manager: m, Reload: func(_ context.Context, dryRun bool) (wire.Reload, error) {
		out := next
		out.DryRun = dryRun
		return out, nil
	}})
	require.NoError(t, err)
	server := httptest.NewServer(a.Handler())
	c, err := client.New(client.Config{Server: server.URL})
	require.NoError(t, err)
	defer func() {
		c.Close()
		server.Close()
		stop()
		assert.NoError(t, ignoreCanceled(<-ended))
	}()

	out, err := c.Reload(t.Context(), false)
	require.NoError(t, err)
	assert.Equal(t, next, out)
	out, err = c.Reload(t.Context(), true)
	require.NoError(t, err)
	assert.True(t, out.DryRun)
	next.NeedsRestart = []wire.ReloadChange{{Path: "listen", From: "127.0.0.1:1", To: "127.0.0.1:2"}}
	out, err = c.Reload(t.Context(), true)
	require.NoError(t, err, "a dry run only tells")
	assert.Len(t, out.NeedsRestart, 1)
	_, err = c.Reload(t.Context(), false)
	require.True(t, client.Conflict(err), "%v", err)
	var problem *client.Error
	require.ErrorAs(t, err, &problem)
	assert.Equal(t, "listen", problem.Problem.Errors[0].Path)
}
