//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/internal/openloop"
)

// The disk of the data directory fills up under load: commands fail and say what
// to do, it is seen at /readyz, in the problems and in the events, the pod serves
// on, and all goes on by itself once there is room.
func TestFaultDiskFull(t *testing.T) {
	row := newFault(t, "disk full, the server")
	disk, fill, free := smallDisk(t, 8<<20)
	srv := prepare(t, onDocker(t), "--data", filepath.Join(disk, "data"))
	srv.run()
	web := srv.service("web", nil)
	web.launch(2)
	nodes := srv.online("web")
	n := rounds(1, 20)
	wait := row.load(web, openloop.Config{Method: http.MethodGet, URL: "/work?cpu=1ms&sleep=50ms", Rate: 60, Duration: time.Duration(5+10*n) * time.Second})
	time.Sleep(time.Second)
	made := 0
	create := func() (status int, answer string) {
		body := fmt.Sprintf(`{"name":"filler%d","workload":{"image":"x","env":{"LONG":%q}}}`, made, strings.Repeat("x", 6000))
		resp, err := http.Post(srv.url+"/v1/pods", "application/json", strings.NewReader(body))
		require.NoError(t, err)
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		if resp.StatusCode == http.StatusCreated {
			made++
		}
		return resp.StatusCode, string(text)
	}
	for range n {
		row.inject(fill)
		// What is free within the file is used first; then it cannot grow.
		seen := false // at /readyz: a small change that still fits ends it
		for tries := 0; !seen && tries < 200; tries++ {
			code, answer := create()
			if code == http.StatusCreated {
				continue
			}
			require.Equal(t, http.StatusInsufficientStorage, code, answer)
			assert.Contains(t, answer, "make room")
			seen = status(t, "GET", srv.url+"/readyz") == http.StatusServiceUnavailable
			var cluster wire.Cluster
			srv.get("/v1/cluster", &cluster)
			seen = seen && problemOf(cluster.Problems, "store-failed").Code != ""
		}
		require.True(t, seen, "the full disk was not seen")
		assert.NotEmpty(t, srv.events("store.failed"))
		out, code := srv.tryCloud("backup", filepath.Join(srv.dir, "backup.db"), "--force")
		assert.Zero(t, code, "a backup to elsewhere needs no room: %s", out)
		time.Sleep(3 * time.Second)
		assert.Equal(t, nodes, srv.online("web"))

		began := time.Now()
		free()
		srv.eventually("healed", 15*time.Second, func() bool {
			code, _ := create()
			return code == http.StatusCreated && status(t, "GET", srv.url+"/readyz") == 200
		})
		row.recovered(time.Since(began))
		assert.NotEmpty(t, srv.events("store.recovered"))
		var cluster wire.Cluster
		srv.get("/v1/cluster", &cluster)
		assert.Zero(t, problemOf(cluster.Problems, "store-failed"))
		srv.cloud("register", "late", "web")
		srv.cloud("rm", "late", "web")
	}
	r := wait()
	assert.Equal(t, r.Sent, r.OK, "a request failed")
	assert.True(t, srv.pod("web").Status.Converged)
}

// A backup is taken and restored while requests come.
func TestFaultRestoredUnderLoad(t *testing.T) {
	row := newFault(t, "backup restored")
	srv := start(t, onDocker(t))
	web := srv.service("web", nil)
	web.launch(2)
	srv.service("extra", nil).launch(1)
	before := srv.pod("web")
	file := filepath.Join(srv.dir, "backup.db")
	n := rounds(1, 10)
	wait := row.load(web, openloop.Config{Method: http.MethodGet, URL: "/work?cpu=1ms&sleep=50ms", Rate: 60, Duration: time.Duration(10+15*n) * time.Second})
	srv.cloud("backup", file)
	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.EqualValues(t, 0o600, info.Mode().Perm())
	for range n {
		srv.patch("/v1/pods/web", `{"workload":{"env":{"CHANGED":"yes"}},"drain":"11s"}`)
		srv.cloud("elasticity", "enable", "web", "3", "4")
		srv.cloud("pod", "rm", "extra")
		srv.eventually("changed", 30*time.Second, func() bool { return srv.pod("web").Status.Converged && len(srv.online("web")) == 3 })
		began := time.Now()
		row.inject(func() { srv.cloud("restore", file) })
		srv.eventually("as before", 60*time.Second, func() bool {
			return srv.pod("web").Status.Converged && len(srv.online("web")) == 2 && len(srv.online("extra")) == 1
		})
		row.recovered(time.Since(began))
		assert.Equal(t, settingsOnly(before), settingsOnly(srv.pod("web")))
		kept, err := filepath.Glob(filepath.Join(srv.dir, "data", "elastipod.db.before-restore-*"))
		require.NoError(t, err)
		assert.NotEmpty(t, kept)
	}
	r := wait()
	assert.Equal(t, r.Sent, r.OK, "a request failed")
	assert.NotEmpty(t, srv.events("store.restored"))
}
