package process

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/elastipod/elastipod/pod"
)

var testCluster = pod.Cluster{Name: "test", ID: "0a1b"}

func id(name string) pod.NodeID { return pod.NodeID{Pod: "web", Name: name} }

func request(name string, w pod.Workload) pod.StartRequest {
	return pod.StartRequest{ID: id(name), Revision: "r1", Workload: w, Limits: pod.Limits{CPU: 1, Memory: 64 << 20}}
}

func serving() pod.Workload {
	w := helper("serve")
	w.Ports = map[string]int{"http": 80, "child": 81}
	return w
}

// shell is a workload of the system's shell.
func shell(script string) pod.Workload { return pod.Workload{Command: []string{"sh", "-c", script}} }

// open opens a runtime and stops what is left of its nodes in the end.
func open(t testing.TB, dir string) *Runtime {
	t.Helper()
	r, err := New(config(dir, testCluster))
	require.NoError(t, err)
	t.Cleanup(func() {
		again, err := New(config(dir, testCluster))
		require.NoError(t, err)
		s, err := again.Observe(context.Background())
		require.NoError(t, err)
		for _, n := range s.Nodes {
			assert.NoError(t, stopError(again.Stop(context.Background(), n.ID, 0)))
		}
		assert.NoError(t, again.Close())
		assert.NoError(t, r.Close())
	})
	return r
}

func start(t testing.TB, r *Runtime, name string, w pod.Workload) pod.Node {
	t.Helper()
	n, err := r.Start(t.Context(), request(name, w))
	require.NoError(t, err)
	return n
}

// late is a command that does its work once it is told to: a node that ends
// before its start has returned makes that fail.
func late(t testing.TB, script string) (w pod.Workload, tell func()) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755)) // for nodes of other users
	path := filepath.Join(dir, "told")
	return shell("while [ ! -e '" + path + "' ]; do sleep 0.01; done; " + script), func() {
		t.Helper()
		require.NoError(t, os.WriteFile(path, nil, 0o600))
	}
}

func find(t testing.TB, r *Runtime, name string) *pod.Node {
	t.Helper()
	s, err := r.Observe(t.Context())
	require.NoError(t, err)
	for _, n := range s.Nodes {
		if n.ID == id(name) {
			return &n
		}
	}
	return nil
}

func exited(t testing.TB, r *Runtime, name string) pod.Exit {
	t.Helper()
	var n *pod.Node
	eventually(t, name+" has ended", func() bool {
		n = find(t, r, name)
		require.NotNil(t, n)
		return n.Phase == pod.PhaseExited
	})
	return *n.Exit
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		require.False(t, time.Now().After(deadline), "not in time: %s", what)
	}
}

func get(n pod.Node, path string) (string, error) {
	c := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get("http://" + n.Endpoints["http"] + path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

func await(t testing.TB, n pod.Node) {
	t.Helper()
	eventually(t, n.ID.String()+" answers", func() bool {
		_, err := get(n, "/")
		return err == nil
	})
}

func logged(t testing.TB, r *Runtime, name string) string {
	t.Helper()
	l, err := r.Logs(t.Context(), id(name), pod.LogOptions{})
	require.NoError(t, err)
	defer l.Close()
	b, err := io.ReadAll(l)
	require.NoError(t, err)
	return string(b)
}

// pidIn waits for a file that a node writes its pid into.
func pidIn(t testing.TB, file string) procRef {
	t.Helper()
	var ref procRef
	eventually(t, file, func() bool {
		b, _ := os.ReadFile(file)
		pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
		if err != nil {
			return false
		}
		ref, err = refOf(pid)
		return err == nil
	})
	return ref
}

func state(t testing.TB, r *Runtime, name string) nodeState {
	t.Helper()
	s, err := readState(r.nodeDir(id(name)))
	require.NoError(t, err)
	return s
}

// manage is a manager in a process of its own: it starts two nodes, says so,
// and waits to be killed.
func manage(args []string) int {
	r, err := New(config(args[0], testCluster))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for _, name := range []string{"n1", "n2"} {
		n, err := r.Start(context.Background(), request(name, serving()))
		if err != nil {
			fmt.Println(err)
			return 1
		}
		b, _ := json.Marshal(n)
		fmt.Println(string(b))
	}
	select {}
}

func TestManagerKilled(t *testing.T) {
	dir := t.TempDir()
	manager := exec.Command(self(), managerArg, dir)
	out, err := manager.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, manager.Start())
	lines := bufio.NewScanner(out)
	var nodes []pod.Node
	for len(nodes) < 2 && lines.Scan() {
		var n pod.Node
		require.NoError(t, json.Unmarshal(lines.Bytes(), &n), lines.Text())
		nodes = append(nodes, n)
	}
	require.Len(t, nodes, 2)
	for _, n := range nodes {
		await(t, n)
	}
	require.NoError(t, manager.Process.Kill())
	require.Error(t, manager.Wait())

	// Nobody manages: the nodes go on, print, and one ends.
	_, err = get(nodes[0], "/print?n=3&text=orphan")
	require.NoError(t, err)
	_, _ = get(nodes[1], "/print?n=1&text=bye")
	_, _ = get(nodes[1], "/exit?code=42")

	r := open(t, dir)
	e := exited(t, r, "n2")
	assert.Equal(t, 42, e.Code)
	assert.Equal(t, []string{"serving", "bye 1"}, e.LastLog)
	n := find(t, r, "n1")
	require.NotNil(t, n)
	assert.Equal(t, pod.PhaseRunning, n.Phase)
	assert.Equal(t, nodes[0].Handle, n.Handle)
	assert.Equal(t, nodes[0].Endpoints, n.Endpoints)
	assert.Equal(t, "serving\norphan 1\norphan 2\norphan 3\n", logged(t, r, "n1"))
	again, err := r.Start(t.Context(), request("n1", serving()))
	require.NoError(t, err)
	assert.Equal(t, n.Handle, again.Handle)
}

// TestManagerKilledInStart kills a manager at many moments of its starts, and
// looks for what it left.
func TestManagerKilledInStart(t *testing.T) {
	for i := range 12 {
		dir := t.TempDir()
		manager := exec.Command(self(), managerArg, dir)
		require.NoError(t, manager.Start())
		time.Sleep(time.Duration(5+6*i) * time.Millisecond)
		require.NoError(t, manager.Process.Kill())
		_ = manager.Wait()

		r := open(t, dir)
		for _, name := range []string{"n1", "n2"} {
			n := start(t, r, name, serving())
			await(t, n)
			require.NoError(t, stopError(r.Stop(t.Context(), n.ID, 0)))
		}
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		assert.Empty(t, left)
	}
}

// A manager that is killed at the end of a stop leaves a lock and nothing else.
func TestLockOfAKilledManagerIsCollected(t *testing.T) {
	r := open(t, t.TempDir())
	n := start(t, r, "n1", serving())
	left, held := r.nodeDir(id("n2"))+lockSuffix, r.nodeDir(id("n3"))+lockSuffix
	require.NoError(t, os.WriteFile(left, nil, 0o600))
	release, err := r.tryLockNode(id("n3"))
	require.NoError(t, err)
	require.NotNil(t, release)
	_, err = r.Observe(t.Context())
	require.NoError(t, err)
	assert.NoFileExists(t, left)
	assert.FileExists(t, held)
	release()
	require.NoError(t, stopError(r.Stop(t.Context(), n.ID, 0)))
}

func TestSupervisorKilled(t *testing.T) {
	r := open(t, t.TempDir())
	n := start(t, r, "n1", serving())
	await(t, n)
	_, err := get(n, "/spawn?far=1")
	require.NoError(t, err)
	s := state(t, r, "n1")
	events := make(chan pod.Event, 10)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Watch(ctx, func(e pod.Event) { events <- e }) }()
	eventually(t, "the watch is set up", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.watchers) == 1
	})
	start(t, r, "n2", serving())
	assert.Equal(t, pod.Event{Node: id("n2"), Kind: pod.EventStarted}, <-events)

	before := descendantsOf(t, s.Supervisor.PID)
	require.GreaterOrEqual(t, len(before), 2, "the node and its descendant")
	require.NoError(t, unix.Kill(s.Supervisor.PID, unix.SIGKILL))
	assert.Equal(t, pod.Event{Node: id("n1"), Kind: pod.EventEnded}, <-events)
	cancel()
	assert.ErrorIs(t, <-done, context.Canceled)

	eventually(t, "the kernel has killed the main process, nobody having observed", func() bool { return !s.Main.alive() })
	e := exited(t, r, "n1")
	assert.Equal(t, 137, e.Code)
	assert.Equal(t, []string{"serving", "(the node's supervisor was killed)"}, e.LastLog)
	assert.Equal(t, e, exited(t, r, "n1"), "it stays as it is")
	eventually(t, "nothing of it lives", func() bool {
		for _, p := range before {
			if p.alive() {
				return false
			}
		}
		return true
	})
	again := start(t, r, "n1", serving())
	await(t, again)
}

func descendantsOf(t testing.TB, pid int) []procRef {
	t.Helper()
	table, err := readTable()
	require.NoError(t, err)
	var out []procRef
	for _, p := range table.descendants(pid) {
		out = append(out, table.stats[p].procRef)
	}
	return out
}

// TestPidReused gives a state the pid of another process, as when the machine
// used it again.
func TestPidReused(t *testing.T) {
	r := open(t, t.TempDir())
	n := start(t, r, "n1", serving())
	await(t, n)
	s := state(t, r, "n1")
	bystander := exec.Command("sleep", "1000")
	require.NoError(t, bystander.Start())
	defer func() {
		_ = bystander.Process.Kill()
		_ = bystander.Wait()
	}()
	edited := s
	edited.Supervisor.PID, edited.Main.PID = bystander.Process.Pid, bystander.Process.Pid
	require.NoError(t, writeState(r.nodeDir(id("n1")), edited))

	require.NotNil(t, find(t, r, "n1"))
	assert.Equal(t, pod.PhaseExited, find(t, r, "n1").Phase, "the pid is another process")
	require.NoError(t, stopError(r.Stop(t.Context(), id("n1"), time.Second)))
	assert.Nil(t, find(t, r, "n1"))
	ref, err := refOf(bystander.Process.Pid)
	require.NoError(t, err)
	assert.True(t, ref.alive(), "nobody touched the bystander")
	eventually(t, "the node itself is gone", func() bool { return !s.Main.alive() && !s.Supervisor.alive() })
}

// TestRebooted gives a state another boot id.
func TestRebooted(t *testing.T) {
	r := open(t, t.TempDir())
	start(t, r, "n1", serving())
	s := state(t, r, "n1")
	require.NoError(t, end(t.Context(), s, 0))
	s.Boot = "another"
	require.NoError(t, writeState(r.nodeDir(id("n1")), s))
	e := exited(t, r, "n1")
	assert.Contains(t, e.Reason(), "the machine was restarted")
	await(t, start(t, r, "n1", serving()))
}

// TestDaemon has a node whose descendant left its session, its parents and its
// environment.
func TestDaemon(t *testing.T) {
	for _, how := range []string{"stop", "exit"} {
		t.Run(how, func(t *testing.T) {
			r := open(t, t.TempDir())
			file := filepath.Join(t.TempDir(), "pid")
			n := start(t, r, "n1", shell(`
				(trap "" TERM HUP; env -i setsid setsid sh -c 'echo $$ >`+file+`; while :; do sleep 1000; done' &)
				while [ ! -e `+file+`.end ]; do sleep 0.01; done; exit 6`))
			daemon := pidIn(t, file)
			require.True(t, daemon.alive())
			if how == "stop" {
				require.NoError(t, stopError(r.Stop(t.Context(), n.ID, 5*time.Second)))
				assert.False(t, daemon.alive(), "it is dead when Stop returns")
				return
			}
			require.NoError(t, os.WriteFile(file+".end", nil, 0o600))
			assert.Equal(t, 6, exited(t, r, "n1").Code)
			assert.False(t, daemon.alive(), "it is dead when the node is seen as ended")
		})
	}
}

func TestZombieIsDead(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	require.NoError(t, cmd.Start())
	ref, err := refOf(cmd.Process.Pid)
	require.NoError(t, err)
	require.True(t, ref.alive())
	p, err := openProc(ref)
	require.NoError(t, err)
	defer p.close()
	require.NoError(t, p.signal(unix.SIGKILL))
	require.NoError(t, p.wait(t.Context()))
	_, err = os.Stat("/proc/" + strconv.Itoa(ref.PID))
	require.NoError(t, err, "nobody has waited for it")
	assert.False(t, ref.alive())
	table, err := readTable()
	require.NoError(t, err)
	assert.False(t, table.alive(ref))
	require.Error(t, cmd.Wait())
	_, err = openProc(ref)
	assert.ErrorIs(t, err, errGone)
}

// TestSupervisorZombie has a supervisor of ours that nobody has waited for yet.
func TestSupervisorZombie(t *testing.T) {
	r := open(t, t.TempDir())
	start(t, r, "n1", shell("sleep 1000"))
	s := state(t, r, "n1")
	require.NoError(t, unix.Kill(s.Supervisor.PID, unix.SIGKILL))
	eventually(t, "it is a zombie", func() bool {
		var buf [1024]byte
		st, err := readStat(s.Supervisor.PID, buf[:])
		return err == nil && st.dead()
	})
	assert.Equal(t, 137, exited(t, r, "n1").Code)
	eventually(t, "an observation has waited for it", func() bool {
		find(t, r, "n1")
		return !exists("/proc/" + strconv.Itoa(s.Supervisor.PID))
	})
}

func TestNodeIsIsolated(t *testing.T) {
	r := open(t, t.TempDir())
	w, tell := late(t, `ls /proc/$$/fd; grep NoNewPrivs /proc/$$/status; grep SigIgn /proc/$$/status; ps -o sid= -p $$; echo $$`)
	start(t, r, "n1", w)
	tell()
	exited(t, r, "n1")
	lines := strings.Split(strings.TrimSpace(logged(t, r, "n1")), "\n")
	require.Len(t, lines, 7, "descriptors 0 to 2 only: %q", lines)
	assert.Equal(t, []string{"0", "1", "2"}, lines[:3])
	assert.Equal(t, "NoNewPrivs:\t1", lines[3])
	var ignored uint64
	_, err := fmt.Sscanf(lines[4], "SigIgn:\t%x", &ignored)
	require.NoError(t, err)
	const libc = 1<<31 | 1<<32 // signals 32 and 33, which make leaves ignored and no program can use
	assert.Zero(t, ignored&^libc, lines[4])
	assert.Equal(t, lines[6], strings.TrimSpace(lines[5]), "it leads a session of its own")
}

func TestUser(t *testing.T) {
	require.Zero(t, os.Geteuid(), "these tests run as root")
	r := open(t, t.TempDir())
	w, tell := late(t, `id -u; id -g; cat "$ELASTIPOD_SECRETS/key"; echo; echo $HOME`)
	w.User = "nobody:daemon"
	w.Secrets = []pod.Secret{{Name: "key", FromEnv: "X"}}
	q := request("n1", w)
	q.Secrets = map[string]pod.SecretValue{"key": pod.SecretValue("sesame")}
	_, err := r.Start(t.Context(), q)
	require.NoError(t, err)
	tell()
	assert.Zero(t, exited(t, r, "n1").Code)
	assert.Equal(t, "65534\n1\nsesame\n/nonexistent\n", logged(t, r, "n1"))
	secrets := state(t, r, "n1").Secrets
	require.DirExists(t, secrets)
	elsewhere, err := os.Readlink(filepath.Join(r.nodeDir(id("n1")), secretDir))
	require.NoError(t, err)
	require.Equal(t, secrets, elsewhere, "who clears up finds them without the state")
	require.NoError(t, stopError(r.Stop(t.Context(), id("n1"), 0)))
	assert.NoDirExists(t, secrets)

	w.User = "no-such-user"
	_, err = r.Start(t.Context(), request("n1", w))
	require.ErrorIs(t, err, pod.ErrUnsupported)
	assert.ErrorContains(t, err, `workload.user: this machine has no user "no-such-user"`)
}

func TestStartErrors(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	script := filepath.Join(t.TempDir(), "script")
	require.NoError(t, os.WriteFile(script, []byte("#!/no/such/interpreter\n"), 0o700))
	for _, c := range []struct {
		name       string
		w          pod.Workload
		supervisor []string
		is         error
		says       string
	}{
		{"not executable", pod.Workload{Command: []string{"/etc/passwd"}}, nil, pod.ErrImage, "permission denied"},
		{"no interpreter", pod.Workload{Command: []string{script}}, nil, pod.ErrImage, "no such file"},
		{"a directory", pod.Workload{Command: []string{"/etc"}}, nil, pod.ErrImage, "permission denied"},
		{"PATH of the node", pod.Workload{Command: []string{"sh"}, Env: map[string]string{"PATH": "/nowhere"}}, nil, pod.ErrImage, "not found in PATH"},
		{"supervisor ends", shell("sleep 1000"), []string{"/bin/true"}, nil, "supervisor /bin/true ended"},
		{"supervisor complains", shell("sleep 1000"), []string{"/bin/sh", "-c", "echo oh no >&2"}, nil, "oh no"},
		{"supervisor babbles", shell("sleep 1000"), []string{"/bin/sh", "-c", "echo babble >&4"}, nil, `answers "babble\n"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := r
			if c.supervisor != nil {
				cfg := config(dir, testCluster)
				cfg.Supervisor = c.supervisor
				var err error
				r, err = New(cfg)
				require.NoError(t, err)
				defer r.Close()
			}
			_, err := r.Start(t.Context(), request("n1", c.w))
			require.Error(t, err)
			assert.ErrorContains(t, err, "start node web/n1: ")
			assert.ErrorContains(t, err, c.says)
			if c.is != nil {
				assert.ErrorIs(t, err, c.is)
			}
			left, err := os.ReadDir(dir)
			require.NoError(t, err)
			assert.Empty(t, left, "nothing is left behind")
		})
	}
}

func TestSuperviseRefusesPeople(t *testing.T) {
	for _, args := range [][]string{nil, {"/tmp", "x"}, {"/tmp", "1"}} {
		out, err := exec.Command(self(), append([]string{supervisorArg}, args...)...).CombinedOutput()
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit)
		assert.Equal(t, 2, exit.ExitCode())
		assert.NotEmpty(t, out)
	}
}

// TestManyAtOnce starts, stops and observes nodes from many goroutines and two
// managers.
func TestManyAtOnce(t *testing.T) {
	dir := t.TempDir()
	managers := []*Runtime{open(t, dir), open(t, dir)}
	var busy, idle sync.WaitGroup
	for i := range 8 {
		busy.Go(func() {
			r := managers[i%2]
			for round := range 6 {
				name := fmt.Sprintf("n%d", i/2) // two goroutines of two managers share a name
				n, err := r.Start(t.Context(), request(name, shell("sleep 1000")))
				if !assert.NoError(t, err) {
					return
				}
				assert.Equal(t, name, n.ID.Name)
				if round%3 == 2 {
					pid, err := strconv.Atoi(n.Handle)
					assert.NoError(t, err)
					_ = unix.Kill(pid, unix.SIGKILL) // dies while others look at it
				}
				if !assert.NoError(t, stopError(r.Stop(t.Context(), n.ID, time.Duration(round%2)*time.Second))) {
					return
				}
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	for i := range 4 {
		idle.Go(func() {
			for ctx.Err() == nil {
				s, err := managers[i%2].Observe(t.Context())
				if !assert.NoError(t, err) {
					return
				}
				for _, n := range s.Nodes {
					if n.Phase == pod.PhaseExited {
						assert.Equal(t, 137, n.Exit.Code&^6, "SIGKILL or SIGTERM: %+v", n.Exit)
					}
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	busy.Wait()
	cancel()
	idle.Wait()
	for _, r := range managers {
		s, err := r.Observe(t.Context())
		require.NoError(t, err)
		assert.Empty(t, s.Nodes)
	}
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, left)
}

// A start that fails because the machine is short of something may work later.
func TestOnlyWhatIsNoProgramIsNotExecutable(t *testing.T) {
	for _, err := range []error{unix.ENOENT, unix.EACCES, unix.ENOEXEC} {
		assert.True(t, notExecutable(err), err)
	}
	for _, err := range []error{unix.EAGAIN, unix.ENOMEM, unix.EMFILE, unix.ETXTBSY, unix.E2BIG} {
		assert.False(t, notExecutable(err), err)
	}
}

func TestStateOfAnEarlierVersionIsAService(t *testing.T) {
	assert.Equal(t, pod.NodeService, nodeState{}.view().Kind)
	assert.Equal(t, pod.NodeJob, nodeState{Kind: pod.NodeJob}.view().Kind)
}
