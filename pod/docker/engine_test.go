package docker_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/internal/dockertest"
	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/docker"
)

const probeImage = "probe"

// bench is a runtime on an engine, and a plain client to look behind it.
type bench struct {
	*testing.T
	rt  *docker.Runtime
	api *client.Client
}

// open opens a cluster of the test's own on an engine; its nodes go with the
// test.
func open(t *testing.T, e *dockertest.Engine, edit ...func(*docker.Config)) *bench {
	t.Helper()
	c := docker.Config{
		Cluster: pod.Cluster{Name: fmt.Sprintf("t%08x", rand.Uint32()), ID: fmt.Sprintf("%016x", rand.Uint64())},
		Host:    pod.Host{Name: "bench", Runtime: "docker", Address: e.Address()},
	}
	for _, f := range edit {
		f(&c)
	}
	rt, err := docker.New(c)
	require.NoError(t, err)
	api, err := e.Client()
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		snap, err := rt.Observe(ctx)
		assert.NoError(t, err)
		for _, n := range snap.Nodes {
			assert.NoError(t, stopError(rt.Stop(ctx, n.ID, 0)))
		}
		assert.NoError(t, rt.Close())
		assert.NoError(t, api.Close())
	})
	return &bench{t, rt, api}
}

// stopError returns what went wrong in a stop.
func stopError(_ []string, err error) error { return err }

func request(name, mode string, edit ...func(*pod.StartRequest)) pod.StartRequest {
	s := pod.Spec{Name: "web", Workload: pod.Workload{Image: probeImage, Command: strings.Fields(mode)}, Limits: pod.Limits{Memory: 64 << 20}}
	s = s.WithDefaults()
	r := pod.StartRequest{ID: pod.NodeID{Pod: "web", Name: name}, Revision: "r1", Workload: s.Workload, Limits: s.Limits}
	for _, f := range edit {
		f(&r)
	}
	return r
}

func (b *bench) start(r pod.StartRequest) pod.Node {
	b.Helper()
	n, err := b.rt.Start(b.Context(), r)
	require.NoError(b, err)
	return n
}

// clear removes all nodes, and the images of a registry.
func (b *bench) clear(repo string) {
	b.Helper()
	snap, err := b.rt.Observe(b.Context())
	require.NoError(b, err)
	for _, n := range snap.Nodes {
		require.NoError(b, stopError(b.rt.Stop(b.Context(), n.ID, 0)))
	}
	removeImages(b.T, b, repo)
}

func (b *bench) find(id pod.NodeID) *pod.Node {
	b.Helper()
	snap, err := b.rt.Observe(b.Context())
	require.NoError(b, err)
	for _, n := range snap.Nodes {
		if n.ID == id {
			return &n
		}
	}
	return nil
}

func (b *bench) exited(id pod.NodeID) *pod.Exit {
	b.Helper()
	var n *pod.Node
	require.Eventually(b, func() bool {
		n = b.find(id)
		return n != nil && n.Phase == pod.PhaseExited
	}, 30*time.Second, 20*time.Millisecond)
	return n.Exit
}

// output waits for a line of a node's output and returns all up to it.
func (b *bench) output(id pod.NodeID, line string) string {
	b.Helper()
	r, err := b.rt.Logs(b.Context(), id, pod.LogOptions{Follow: true})
	require.NoError(b, err)
	defer r.Close()
	var all strings.Builder
	for buf := make([]byte, 4096); !strings.Contains(all.String(), line+"\n"); {
		n, err := r.Read(buf)
		all.Write(buf[:n])
		if err != nil {
			require.Fail(b, "output ends", "%v after %q", err, all.String())
		}
	}
	return all.String()
}

func (b *bench) inspect(n pod.Node) container.InspectResponse {
	b.Helper()
	c, err := b.api.ContainerInspect(b.Context(), n.Handle)
	require.NoError(b, err)
	return c
}

// volumes returns the names of the engine's volumes that carry a hash for a name.
func volumes(b *bench) []string {
	b.Helper()
	list, err := b.api.VolumeList(b.Context(), volume.ListOptions{})
	require.NoError(b, err)
	var names []string
	for _, v := range list.Volumes {
		names = append(names, v.Name)
	}
	return names
}

func get(url string) (string, error) {
	c := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := c.Get(url)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return string(text), err
}

func (b *bench) eventuallyAnswers(address, want string) {
	b.Helper()
	var text string
	var err error
	ok := assert.Eventually(b, func() bool {
		text, err = get("http://" + address)
		return err == nil && strings.Contains(text, want)
	}, 20*time.Second, 10*time.Millisecond)
	if !ok {
		snap, _ := b.rt.Observe(b.Context())
		for _, n := range snap.Nodes {
			b.Logf("%s is %s: %+v", n.ID, n.Phase, n.Exit)
		}
		require.Fail(b, "no answer", "%q, %v", text, err)
	}
}

// bare cuts the prefix that some engines add to capabilities.
func bare(caps []string) []string {
	var out []string
	for _, c := range caps {
		out = append(out, strings.TrimPrefix(c, "CAP_"))
	}
	return out
}

func TestInspectShowsLimitsAndSecurity(t *testing.T) {
	t.Parallel()
	b := open(t, shared)
	limits := func(r *pod.StartRequest) { r.Limits = pod.Limits{CPU: 0.3, Memory: 48 << 20, PIDs: 77} }

	c := b.inspect(b.start(request("n1", "sleep", limits, func(r *pod.StartRequest) { r.Workload.CapAdd = []string{"SYS_NICE"} })))
	h := c.HostConfig
	assert.Equal(t, int64(300_000_000), h.NanoCPUs)
	assert.Equal(t, int64(48<<20), h.Memory)
	assert.Equal(t, int64(48<<20), h.MemorySwap)
	assert.Equal(t, int64(77), *h.PidsLimit)
	assert.Equal(t, []string{"no-new-privileges"}, h.SecurityOpt)
	assert.ElementsMatch(t, []string{"NET_RAW", "MKNOD", "AUDIT_WRITE"}, bare(h.CapDrop))
	assert.ElementsMatch(t, []string{"SYS_NICE"}, bare(h.CapAdd))
	assert.False(t, h.ReadonlyRootfs)
	assert.False(t, h.Privileged)
	assert.Equal(t, container.RestartPolicyDisabled, h.RestartPolicy.Name)
	assert.Equal(t, "json-file", h.LogConfig.Type)
	assert.Equal(t, map[string]string{"max-size": "8m", "max-file": "2"}, h.LogConfig.Config)
	labels := c.Config.Labels
	cluster := labels[docker.LabelCluster]
	assert.Equal(t, "/"+cluster+".web.n1", c.Name)
	assert.Len(t, labels[docker.LabelClusterID], 16)
	assert.Equal(t, "node", labels[docker.LabelKind])
	assert.Equal(t, "web", labels[docker.LabelPod])
	assert.Equal(t, "n1", labels[docker.LabelNode])
	assert.Equal(t, "r1", labels[docker.LabelRevision])

	n := b.start(request("n2", "look", limits, func(r *pod.StartRequest) { r.Workload.Security = pod.SecurityStrict }))
	c = b.inspect(n)
	assert.Equal(t, []string{"ALL"}, []string(c.HostConfig.CapDrop))
	assert.Empty(t, c.HostConfig.CapAdd)
	assert.True(t, c.HostConfig.ReadonlyRootfs)
	assert.Equal(t, []string{"no-new-privileges"}, c.HostConfig.SecurityOpt)
	assert.Contains(t, b.output(n.ID, "done"), "root: read-only file system tmp: writable")
}

func TestStockImagesWorkWithTheDefaults(t *testing.T) {
	t.Parallel()
	b := open(t, shared)
	n := b.start(request("n1", "stock", func(r *pod.StartRequest) { r.Workload.Ports = map[string]int{"http": 80} }))
	b.eventuallyAnswers(n.Endpoints["http"], "uid 101")
	require.NoError(t, stopError(b.rt.Stop(t.Context(), n.ID, time.Second)))
}

func TestSecretsAreFilesForTheNodesUserOnly(t *testing.T) {
	t.Parallel()
	b := open(t, shared)
	for i, c := range []struct {
		security pod.Security
		user     string
		want     string
	}{
		{pod.SecurityDefault, "", "0"}, {pod.SecurityDefault, "1001:1001", "1001"},
		{pod.SecurityStrict, "", "0"}, {pod.SecurityStrict, "1001", "1001"},
	} {
		n := b.start(request(fmt.Sprintf("n%d", i), "look /run/secrets /conf", func(r *pod.StartRequest) {
			r.Workload.Security, r.Workload.User = c.security, c.user
			r.Workload.Secrets = []pod.Secret{
				{Name: "password", FromEnv: "X", Target: "/run/secrets/password"}, {Name: "key", FromEnv: "X", Target: "/conf/key"},
			}
			r.Secrets = map[string]pod.SecretValue{"password": pod.SecretValue("hunter2"), "key": pod.SecretValue("hunter3")}
		}))
		out := b.output(n.ID, "done")
		assert.Contains(t, out, fmt.Sprintf(`/run/secrets/password -r-------- uid=%s "hunter2" <nil>`, c.want))
		assert.Contains(t, out, fmt.Sprintf(`/conf/key -r-------- uid=%s "hunter3" <nil>`, c.want))
		_, raw, err := b.api.ContainerInspectWithRaw(t.Context(), n.Handle, true)
		require.NoError(t, err)
		assert.NotContains(t, string(raw), "hunter")
		c, err := b.api.ContainerInspect(t.Context(), n.Handle)
		require.NoError(t, err)
		var own []string // other tests have volumes on this engine too
		for _, m := range c.Mounts {
			own = append(own, m.Name)
		}
		assert.Subset(t, volumes(b), own)
		assert.NotEmpty(t, own)
		require.NoError(t, stopError(b.rt.Stop(t.Context(), n.ID, 0)))
		for _, v := range volumes(b) {
			assert.NotContains(t, own, v, "secrets go with the node")
		}
	}
}

func TestSecretsBesideTheImagesFilesForItsNamedUser(t *testing.T) {
	t.Parallel()
	binary, err := os.ReadFile(probe)
	require.NoError(t, err)
	require.NoError(t, shared.Build(t.Context(), "probe-named", `FROM scratch
COPY app /app
COPY passwd /etc/passwd
COPY app.ini /conf/app.ini
USER web
ENTRYPOINT ["/app"]
`, map[string][]byte{"app": binary, "passwd": []byte("root:x:0:0::/:\nweb:x:1234:1234::/:\n"), "app.ini": []byte("colour=blue")}))
	b := open(t, shared)
	n := b.start(request("n1", "look /conf", func(r *pod.StartRequest) {
		r.Workload.Image = "probe-named"
		r.Workload.Secrets = []pod.Secret{{Name: "key", FromEnv: "X", Target: "/conf/key"}}
		r.Secrets = map[string]pod.SecretValue{"key": pod.SecretValue("hunter2")}
	}))
	out := b.output(n.ID, "done")
	assert.Contains(t, out, "uid 1234\n")
	assert.Contains(t, out, `/conf/app.ini -rwxr-xr-x uid=0 "colour=blue" <nil>`)
	assert.Contains(t, out, `/conf/key -r-------- uid=1234 "hunter2" <nil>`)
}

func TestOutOfMemoryKillIsSeen(t *testing.T) {
	t.Parallel()
	b := open(t, shared)
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() { assert.ErrorIs(t, b.rt.Watch(ctx, func(pod.Event) {}), context.Canceled) })
	defer watching.Wait()
	defer cancel()
	n := b.start(request("n1", "eat", func(r *pod.StartRequest) { r.Limits.Memory = 24 << 20 }))
	b.output(n.ID, "hungry")
	require.NoError(t, b.api.ContainerKill(t.Context(), n.Handle, "SIGUSR1"))
	e := b.exited(n.ID)
	// An engine on a busy machine may say so a moment after the death.
	assert.Eventually(t, func() bool { e = b.exited(n.ID); return e.OOMKilled }, 10*time.Second, 20*time.Millisecond)
	assert.Equal(t, 137, e.Code)
	assert.Equal(t, []string{"hungry", "eating"}, e.LastLog)
	assert.Equal(t, "out of memory (killed at its memory limit): eating", e.Reason())
}

func TestMissingImageNamesImageAndHost(t *testing.T) {
	t.Parallel()
	b := open(t, shared)
	r := request("n1", "sleep", func(r *pod.StartRequest) { r.Workload.Image = "127.0.0.1:1/shop/web:7" })
	_, err := b.rt.Start(t.Context(), r)
	require.ErrorIs(t, err, pod.ErrRegistry, "nobody answers at its registry")
	require.NotErrorIs(t, err, pod.ErrUnreachable, "the engine does")
	assert.ErrorContains(t, err, "127.0.0.1:1/shop/web:7 cannot be pulled")
	assert.ErrorContains(t, err, "on host bench")
	r.Workload.Pull = pod.PullNever
	_, err = b.rt.Prepare(t.Context(), r.Workload, "", nil)
	require.ErrorIs(t, err, pod.ErrImage)
	assert.ErrorContains(t, err, "its pull policy is never")
}

func TestCommandThatDoesNotExistLeavesNothing(t *testing.T) {
	t.Parallel()
	b := open(t, shared)
	_, err := b.rt.Start(t.Context(), request("n1", "", func(r *pod.StartRequest) { r.Workload.Entrypoint = []string{"/no/such"} }))
	require.ErrorIs(t, err, pod.ErrExited)
	assert.ErrorContains(t, err, "/no/such")
	assert.Nil(t, b.find(pod.NodeID{Pod: "web", Name: "n1"}))
}

func TestMountsNetworksAndHosts(t *testing.T) {
	t.Parallel()
	b := open(t, shared)
	made, err := b.api.NetworkCreate(t.Context(), "back", network.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, b.api.NetworkRemove(context.Background(), made.ID)) })
	dir := t.TempDir()
	r := request("n1", "look /etc/hosts /volume", func(r *pod.StartRequest) {
		w := &r.Workload
		w.Ports = map[string]int{"http": 80}
		w.Networks = []string{"back"}
		w.ExtraHosts = map[string]string{"db.internal": "10.1.2.3"}
		w.User = "1001:1001"
		w.Mounts = []pod.Mount{
			{Kind: pod.MountBind, Source: dir, Target: "/host", ReadOnly: true},
			{Kind: pod.MountVolume, Source: "data-" + strings.ToLower(t.Name()), Target: "/volume"},
			{Kind: pod.MountTmpfs, Target: "/tmp", Size: 1 << 20},
		}
	})
	t.Cleanup(func() { assert.NoError(t, b.api.VolumeRemove(context.Background(), r.Workload.Mounts[1].Source, true)) })
	n := b.start(r)
	defer func() { require.NoError(t, stopError(b.rt.Stop(context.Background(), n.ID, 0))) }()
	out := b.output(n.ID, "done")
	assert.Contains(t, out, "uid 1001\nroot: permission denied tmp: writable")
	assert.Contains(t, out, "10.1.2.3\\tdb.internal")
	c := b.inspect(n)
	require.Len(t, c.Mounts, 3)
	for _, m := range c.Mounts {
		if m.Destination == "/host" {
			assert.False(t, m.RW)
		}
	}
	assert.Contains(t, c.NetworkSettings.Networks, "back")
	assert.Contains(t, c.NetworkSettings.Networks, "bridge")
	assert.Equal(t, c.NetworkSettings.Networks["bridge"].IPAddress+":80", n.Endpoints["http"])

	r.ID.Name, r.Workload.Networks = "n2", []string{"no-such-network"}
	_, err = b.rt.Start(t.Context(), r)
	require.ErrorIs(t, err, pod.ErrUnsupported)
	assert.ErrorContains(t, err, "network no-such-network")
	assert.Nil(t, b.find(r.ID))
	_, err = b.rt.Prepare(t.Context(), r.Workload, "", nil)
	require.ErrorIs(t, err, pod.ErrUnsupported)
}

func TestFrozenNodeIsSeenAndStopped(t *testing.T) {
	t.Parallel()
	b := open(t, shared)
	n := b.start(request("n1", "sleep"))
	require.NoError(t, b.api.ContainerPause(t.Context(), n.Handle))
	assert.Equal(t, pod.PhaseFrozen, b.find(n.ID).Phase)
	again := b.start(request("n1", "sleep"))
	assert.Equal(t, pod.PhaseFrozen, again.Phase)
	require.NoError(t, stopError(b.rt.Stop(t.Context(), n.ID, time.Second)))
	assert.Nil(t, b.find(n.ID))
}

func TestContainerRemovedByHandIsGone(t *testing.T) {
	t.Parallel()
	b := open(t, shared)
	n := b.start(request("n1", "sleep"))
	require.NotNil(t, b.find(n.ID))
	require.NoError(t, b.api.ContainerRemove(t.Context(), n.Handle, container.RemoveOptions{Force: true}))
	assert.Nil(t, b.find(n.ID))
	_, err := b.rt.Logs(t.Context(), n.ID, pod.LogOptions{})
	require.ErrorIs(t, err, pod.ErrNotFound)
	require.NoError(t, stopError(b.rt.Stop(t.Context(), n.ID, time.Second)))
}

func TestAutoAddressKnowsALocalSocketOfARemoteNetwork(t *testing.T) {
	t.Parallel()
	local := open(t, shared)
	ports := func(r *pod.StartRequest) { r.Workload.Ports = map[string]int{"http": 80} }
	n := local.start(request("n1", "stock", ports))
	assert.Equal(t, local.inspect(n).NetworkSettings.Networks["bridge"].IPAddress+":80", n.Endpoints["http"])
	local.eventuallyAnswers(n.Endpoints["http"], "uid")

	apart := dockertest.Start(t, dockertest.Options{Remote: true})
	apart.BuildScratch(t, probeImage, probe)
	b := open(t, apart, func(c *docker.Config) { c.Host.Bind = apart.IP })
	n = b.start(request("n1", "stock", ports))
	assert.True(t, strings.HasPrefix(n.Endpoints["http"], apart.IP+":"), n.Endpoints["http"])
	b.eventuallyAnswers(n.Endpoints["http"], "uid")
}

func TestHostUseIsMeasuredWhereTheEngineIsHere(t *testing.T) {
	t.Parallel()
	b := open(t, shared, func(c *docker.Config) { c.Host.Capacity = pod.Resources{CPU: 1.5} })
	first, err := b.rt.Observe(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 1.5, first.Host.Capacity.CPU, "as configured")
	assert.Greater(t, first.Host.Capacity.Memory, int64(1<<30), "as the engine says")
	assert.Contains(t, first.Host.Engine, "Docker ")
	assert.Contains(t, first.Host.Engine, ", cgroup v")
	var use pod.HostUsage
	require.Eventually(t, func() bool {
		snap, err := b.rt.Observe(t.Context())
		require.NoError(t, err)
		use = snap.Host.Used
		return use.CPU != nil
	}, 5*time.Second, 50*time.Millisecond)
	require.NotNil(t, use.Memory)
	require.NotNil(t, use.Disk)
	assert.Greater(t, *use.DiskTotal, *use.Disk)
}
