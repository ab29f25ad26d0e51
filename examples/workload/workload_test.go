package workload_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/net/websocket"

	"github.com/elastipod/elastipod/examples/workload"
)

const runEnv = "WORKLOAD_TEST_RUN"

func TestMain(m *testing.M) {
	if os.Getenv(runEnv) != "" {
		os.Exit(workload.Run(context.Background(), os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
	}
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"))
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// start runs the workload in this process and returns its address.
func start(t *testing.T, env []string, args ...string) string {
	t.Helper()
	port := freePort(t)
	ctx, cancel := context.WithCancel(context.Background())
	var out bytes.Buffer
	done := make(chan int)
	go func() {
		done <- workload.Run(ctx, append([]string{"--bind", "127.0.0.1"}, args...), append(env, "PORT="+port, "ELASTIPOD_NODE=n-1"), &out, &out)
	}()
	t.Cleanup(func() {
		cancel()
		assert.Zero(t, <-done, out.String())
	})
	ready(t, "http://127.0.0.1:"+port)
	return "http://127.0.0.1:" + port
}

func ready(t *testing.T, url string) {
	t.Helper()
	require.Eventually(t, func() bool {
		r, err := http.Get(url + "/healthz")
		if err == nil {
			r.Body.Close()
		}
		return err == nil
	}, 10*time.Second, 5*time.Millisecond)
}

func get(t *testing.T, url, id string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	if id != "" {
		req.Header.Set("X-Request-Id", id)
	}
	r, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return r, string(body)
}

func cpuTime() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func TestAnswersAndCounts(t *testing.T) {
	file := filepath.Join(t.TempDir(), "seen")
	url := start(t, []string{"SEEN_FILE=" + file}, "light")

	r, body := get(t, url+"/", "a-1")
	assert.Equal(t, 200, r.StatusCode)
	assert.Equal(t, "light from n-1\n", body)
	assert.Equal(t, "n-1", r.Header.Get("X-Node"))
	assert.Equal(t, "a-1", r.Header.Get("X-Request-Id"))
	r, _ = get(t, url+"/work?id=b-2", "")
	assert.Equal(t, "b-2", r.Header.Get("X-Request-Id"))
	_, _ = get(t, url+"/", "")
	_, body = get(t, url+"/healthz", "no-request")
	assert.Equal(t, "ok\n", body)

	var s workload.Seen
	_, body = get(t, url+"/seen", "")
	require.NoError(t, json.Unmarshal([]byte(body), &s))
	assert.Equal(t, workload.Seen{Node: "n-1", Requests: 3, Count: 2, IDs: []string{"a-1", "b-2"}, Next: 2}, s)
	_, body = get(t, url+"/seen?since=1", "")
	require.NoError(t, json.Unmarshal([]byte(body), &s))
	assert.Equal(t, []string{"b-2"}, s.IDs)

	lines, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, "a-1\nb-2\n", string(lines))
}

func TestRefusesBadRequests(t *testing.T) {
	url := start(t, nil)
	for _, q := range []string{
		"/work?cpu=20", "/work?cpu=-1s", "/work?cpu=11s", "/work?sleep=2m", "/work?sleep=x", "/?cpu=1h",
		"/seen?since=-1", "/work?id=a%0Ab", "/work?id=" + strings.Repeat("x", 129), "/?id=%22",
	} {
		r, body := get(t, url+q, "")
		assert.Equal(t, 400, r.StatusCode, q)
		assert.Contains(t, body, "use ", q)
	}
	_, body := get(t, url+"/seen", "")
	assert.Contains(t, body, `"requests":0`, "what was refused was not seen")
}

// TestBurnsCPUTime measures the process: what is asked for is used, also where
// several requests share the cores, and waiting uses none.
func TestBurnsCPUTime(t *testing.T) {
	url := start(t, nil, "medium")
	before := cpuTime()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { _, _ = get(t, url+"/", "") }) // 20 ms each
	}
	_, _ = get(t, url+"/work?cpu=200ms", "")
	wg.Wait()
	used := cpuTime() - before
	assert.GreaterOrEqual(t, used, 360*time.Millisecond)
	assert.Less(t, used, 600*time.Millisecond)

	before = cpuTime()
	began := time.Now()
	_, _ = get(t, url+"/work?sleep=300ms", "")
	assert.GreaterOrEqual(t, time.Since(began), 300*time.Millisecond)
	assert.Less(t, cpuTime()-before, 100*time.Millisecond)
}

func TestStopsBurningForClientsThatAreGone(t *testing.T) {
	url := start(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/work?cpu=10s", nil)
	require.NoError(t, err)
	_, err = http.DefaultClient.Do(req)
	require.Error(t, err)
	require.Eventually(t, func() bool {
		before := cpuTime()
		time.Sleep(50 * time.Millisecond)
		return cpuTime()-before < 20*time.Millisecond
	}, 5*time.Second, 10*time.Millisecond)
}

func TestWarmUp(t *testing.T) {
	url := start(t, []string{"WARM_UP=300ms"})
	resp, _ := get(t, url+"/healthz", "")
	assert.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	resp, _ = get(t, url+"/", "")
	assert.Equal(t, http.StatusOK, resp.StatusCode, "what comes already is answered")
	require.Eventually(t, func() bool {
		resp, _ := get(t, url+"/healthz", "")
		return resp.StatusCode == http.StatusOK
	}, 10*time.Second, 10*time.Millisecond)
}

func TestFaultsOnDemand(t *testing.T) {
	url := start(t, []string{"FAULTS=on"})
	check := func() int {
		var out bytes.Buffer
		return workload.Run(t.Context(), []string{"--bind", "127.0.0.1", "--check"}, []string{"PORT=" + url[strings.LastIndex(url, ":")+1:]}, &out, &out)
	}
	fault := func(query string) int {
		resp, err := http.Post(url+"/fault?"+query, "", nil)
		require.NoError(t, err)
		defer resp.Body.Close()
		return resp.StatusCode
	}
	assert.Zero(t, check())
	require.Equal(t, http.StatusAccepted, fault("status=503"))
	assert.Equal(t, 1, check())
	resp, _ := get(t, url+"/", "")
	assert.Equal(t, http.StatusOK, resp.StatusCode, "it works on")
	require.Equal(t, http.StatusAccepted, fault("status=200&delay=100ms"))
	begun := time.Now()
	assert.Zero(t, check())
	assert.GreaterOrEqual(t, time.Since(begun), 100*time.Millisecond)
	require.Equal(t, http.StatusAccepted, fault("delay=0s&memory=3MiB"))
	for _, bad := range []string{"status=99", "delay=-1s", "exit=300", "memory=1TiB", "explode=1"} {
		assert.Equal(t, http.StatusBadRequest, fault(bad), bad)
	}
	url = start(t, nil)
	resp, _ = get(t, url+"/fault?status=500", "")
	assert.Equal(t, http.StatusOK, resp.StatusCode, "a path like any other, where faults are not asked for")
	assert.Equal(t, http.StatusOK, fault("status=500"))
	resp, _ = get(t, url+"/healthz", "")
	assert.Equal(t, http.StatusOK, resp.StatusCode)
}

func TestFaultThatEndsTheProcess(t *testing.T) {
	exe, err := os.Executable()
	require.NoError(t, err)
	port := freePort(t)
	cmd := exec.Command(exe, "--bind", "127.0.0.1")
	cmd.Env = append(os.Environ(), runEnv+"=1", "PORT="+port, "FAULTS=on")
	require.NoError(t, cmd.Start())
	defer cmd.Process.Kill()
	ready(t, "http://127.0.0.1:"+port)
	resp, err := http.Post("http://127.0.0.1:"+port+"/fault?exit=3", "", nil)
	require.NoError(t, err)
	_ = resp.Body.Close()
	var exit *exec.ExitError
	require.ErrorAs(t, cmd.Wait(), &exit)
	assert.Equal(t, 3, exit.ExitCode())
}

func TestWrongUse(t *testing.T) {
	for _, c := range []struct {
		args, env []string
		want      string
	}{
		{[]string{"huge"}, []string{"PORT=80"}, `"huge" is no kind of workload: use light, medium or heavy`},
		{[]string{"light", "x"}, []string{"PORT=80"}, `"x" is too much`},
		{[]string{"--cpu", "1h"}, []string{"PORT=80"}, "--cpu 1h0m0s is out of range: use 0s to 10s"},
		{[]string{"--bind", "here"}, []string{"PORT=80"}, "is no IP address"},
		{[]string{"--nope"}, []string{"PORT=80"}, "not defined"},
		{nil, nil, "PORT is not set"},
		{nil, []string{"PORT_ADMIN=x"}, `PORT_ADMIN="x" is no port: use 1 to 65535`},
	} {
		var out bytes.Buffer
		assert.Equal(t, 2, workload.Run(t.Context(), c.args, c.env, &out, &out))
		assert.Contains(t, out.String(), c.want)
	}
	var out bytes.Buffer
	assert.Equal(t, 0, workload.Run(t.Context(), []string{"--help"}, nil, &out, &out))
	assert.Contains(t, out.String(), "usage: server workload")
	out.Reset()
	assert.Equal(t, 1, workload.Run(t.Context(), nil, []string{"PORT=" + freePort(t), "SEEN_FILE=/no/such/dir/seen"}, &out, &out))
	assert.Contains(t, out.String(), "SEEN_FILE")
}

// TestProcess runs the workload as a process of its own: it listens on all of
// its ports, finishes what runs when it is asked to end, and shares its file.
func TestProcess(t *testing.T) {
	exe, err := os.Executable()
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "seen")
	main, admin := freePort(t), freePort(t)
	var out bytes.Buffer
	cmd := exec.Command(exe, "--bind", "127.0.0.1", "heavy")
	cmd.Env = append(os.Environ(), runEnv+"=1", "PORT="+main, "PORT_HTTP="+main, "PORT_ADMIN="+admin, "SEEN_FILE="+file, "ELASTIPOD_NODE=heavy-7")
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Start())
	defer cmd.Process.Kill()
	ready(t, "http://127.0.0.1:"+main)
	ready(t, "http://127.0.0.1:"+admin)

	answered := make(chan string)
	go func() {
		r, body := get(t, "http://127.0.0.1:"+main+"/work?sleep=500ms&cpu=20ms&id=slow", "")
		answered <- fmt.Sprint(r.StatusCode, body)
	}()
	require.Eventually(t, func() bool {
		lines, _ := os.ReadFile(file)
		return string(lines) == "slow\n"
	}, 5*time.Second, time.Millisecond, "the id is written before the work is done")
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	assert.Equal(t, "200heavy from heavy-7\n", <-answered)
	require.NoError(t, cmd.Wait())
	assert.Contains(t, out.String(), "heavy-7 serves as heavy on port ")
	assert.Contains(t, out.String(), "heavy-7 ends after 1 requests")
}

// TestEndsInSpiteOfSilentConnections: a balancer may have opened some in advance.
func TestEndsInSpiteOfSilentConnections(t *testing.T) {
	port := freePort(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int)
	go func() {
		done <- workload.Run(ctx, []string{"--bind", "127.0.0.1"}, []string{"PORT=" + port}, io.Discard, io.Discard)
	}()
	ready(t, "http://127.0.0.1:"+port)
	silent, err := net.Dial("tcp", "127.0.0.1:"+port)
	require.NoError(t, err)
	defer silent.Close()
	time.Sleep(50 * time.Millisecond) // until it is accepted
	began := time.Now()
	cancel()
	assert.Zero(t, <-done)
	assert.Less(t, time.Since(began), 2*time.Second)
}

func TestWebSocket(t *testing.T) {
	url := start(t, nil, "light")
	ws, err := websocket.Dial("ws"+strings.TrimPrefix(url, "http")+"/ws", "", "http://elsewhere.example")
	require.NoError(t, err)
	defer ws.Close()
	for _, want := range []string{"n-1", "hello", "again"} {
		if want != "n-1" {
			require.NoError(t, websocket.Message.Send(ws, want))
		}
		var got string
		require.NoError(t, websocket.Message.Receive(ws, &got))
		assert.Equal(t, want, got)
	}
}
