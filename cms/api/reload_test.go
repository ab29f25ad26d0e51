package api_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/api"
	"github.com/elastipod/elastipod/cms/wire"
)

func TestReload(t *testing.T) {
	var asked []bool
	var out wire.Reload
	var fails error
	a := newAPI(t, newFake(), func(c *api.Config) {
		c.Reload = func(_ context.Context, dryRun bool) (wire.Reload, error) {
			asked = append(asked, dryRun)
			out.DryRun = dryRun
			return out, fails
		}
	})
	r := call(t, a, "POST", "/v1/reload", nil)
	require.Equal(t, 200, r.StatusCode)
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	assert.JSONEq(t, `{"dry_run":false,"changed":[],"needs_restart":[]}`, string(body))

	out.Changed = []wire.ReloadChange{{Path: "log.level", From: "info", To: "debug", Applied: true}}
	got := read[wire.Reload](t, call(t, a, "POST", "/v1/reload?dry_run=true", nil))
	assert.Equal(t, wire.Reload{DryRun: true, Changed: out.Changed, NeedsRestart: []wire.ReloadChange{}}, got)

	out.NeedsRestart = []wire.ReloadChange{{Path: "listen", From: "127.0.0.1:1", To: "127.0.0.1:2"}, {Path: "hosts[b].bind", From: "a", To: "b", Note: "remove it, then add it anew"}}
	got = read[wire.Reload](t, call(t, a, "POST", "/v1/reload?dry_run=true", nil))
	assert.Len(t, got.NeedsRestart, 2, "a dry run tells")
	p := problemOf(t, call(t, a, "POST", "/v1/reload", nil))
	assert.Equal(t, 409, p.Status)
	assert.Contains(t, p.Detail, "nothing was changed: a restart is needed for listen, hosts[b].bind")
	assert.Equal(t, []wire.Fault{
		{Path: "listen", Problem: "a running server cannot change it from 127.0.0.1:1 to 127.0.0.1:2", Allowed: "restart the server, or take the change back"},
		{Path: "hosts[b].bind", Problem: "a running server cannot change it from a to b", Allowed: "remove it, then add it anew"},
	}, p.Errors)
	assert.Equal(t, []bool{false, true, true, false}, asked)

	var faults cms.Faults
	faults.Add("log.level", "use \"info\"", "server.yaml:3:8: \"loud\" is unknown")
	fails = faults
	p = problemOf(t, call(t, a, "POST", "/v1/reload", nil))
	assert.Equal(t, 422, p.Status)
	assert.Contains(t, p.Detail, "server.yaml:3:8")
	fails = errors.Join(cms.ErrConflict, errors.New("host b does not answer"))
	assert.Equal(t, 409, problemOf(t, call(t, a, "POST", "/v1/reload", nil)).Status)

	p = problemOf(t, call(t, newAPI(t, newFake()), "POST", "/v1/reload", nil))
	assert.Equal(t, 501, p.Status)
}

func TestSetAccess(t *testing.T) {
	a := newAPI(t, newFake(), withTokens)
	get := func(secret string) int {
		return call(t, a, "GET", "/v1/pods", nil, "Authorization", "Bearer "+secret).StatusCode
	}
	const next = "another-secret-00000"
	assert.Equal(t, 401, get(next))

	err := a.SetAccess(api.Access{Tokens: []api.Token{{Name: "n", Role: "boss", Secret: next}, {Name: "n", Role: api.Viewer, Secret: "short"}}})
	var faults cms.Faults
	require.ErrorAs(t, err, &faults)
	assert.Len(t, faults, 3)
	assert.NotContains(t, err.Error(), next)
	err = a.SetAccess(api.Access{AllowedOrigins: []string{"no origin"}})
	require.ErrorAs(t, err, &faults)
	assert.Equal(t, "AllowedOrigins[0]", faults[0].Path)
	assert.Equal(t, 200, get(viewer), "what was refused changes nothing")

	require.NoError(t, a.SetAccess(api.Access{
		Tokens: []api.Token{{Name: "n", Role: api.Operator, Secret: next}}, AllowedHosts: []string{"ops.example.com"}, AllowedOrigins: []string{"https://ops.example.com"},
	}))
	assert.Equal(t, 401, get(viewer))
	assert.Equal(t, 200, get(next))
	with := []string{"Authorization", "Bearer " + next, "Host", "ops.example.com", "Origin", "https://ops.example.com", "Sec-Fetch-Site", "cross-site"}
	assert.Equal(t, 202, call(t, a, "POST", "/v1/pods/web/pause", nil, with...).StatusCode)
	require.NoError(t, a.SetAccess(api.Access{}))
	assert.Equal(t, 200, get("anything at all, no token is asked for"))
	assert.Equal(t, 421, call(t, a, "GET", "/v1/pods", nil, "Host", "ops.example.com").StatusCode)
}

// A token that is taken back takes its open streams with it; those of other
// tokens go on.
func TestTakenBackTokenLosesItsStreams(t *testing.T) {
	a := newAPI(t, newFake(), withTokens, func(c *api.Config) { c.Heartbeat = 20 * time.Millisecond })
	a.SetSubscribe(func(uint64, int) api.Subscription { return newStream() })
	get := live(t, a)
	open := func(secret string) (ended chan error, beat func()) {
		body, r := get("/v1/events", "Authorization", "Bearer "+secret)
		require.Equal(t, 200, r.StatusCode)
		beats := make(chan struct{}, 1000)
		ended = make(chan error, 1)
		go func() {
			for {
				if _, err := body.ReadString('\n'); err != nil {
					ended <- err
					return
				}
				select {
				case beats <- struct{}{}:
				default:
				}
			}
		}()
		return ended, func() {
			for len(beats) > 0 {
				<-beats
			}
			<-beats
		}
	}
	lost, beat := open(viewer)
	beat()
	kept, keptBeat := open(operator)
	keptBeat()
	require.NoError(t, a.SetAccess(api.Access{Tokens: []api.Token{{Name: "renamed", Role: api.Viewer, Secret: operator}}}))
	select {
	case err := <-lost:
		require.ErrorIs(t, err, io.EOF)
	case <-time.After(10 * time.Second):
		t.Fatal("the stream of the token that was taken back goes on")
	}
	keptBeat()
	assert.Empty(t, kept)
	require.NoError(t, a.Close())
	<-kept

	a = newAPI(t, newFake(), func(c *api.Config) { c.Heartbeat = 20 * time.Millisecond })
	a.SetSubscribe(func(uint64, int) api.Subscription { return newStream() })
	get = live(t, a)
	lost, _ = open("none")
	require.NoError(t, a.SetAccess(api.Access{Tokens: []api.Token{{Name: "o", Role: api.Viewer, Secret: operator}}}))
	<-lost // it came without a token
}

func TestDocsWithASlash(t *testing.T) {
	a := newAPI(t, newFake())
	r := call(t, a, "GET", "/docs/", nil)
	assert.Equal(t, http.StatusMovedPermanently, r.StatusCode)
	assert.Equal(t, "/docs", r.Header.Get("Location"))
	assert.Equal(t, 404, call(t, a, "GET", "/docs/nothing", nil).StatusCode)
}
