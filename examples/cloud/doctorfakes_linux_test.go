package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/wire"
)

// fakeEngine answers GET /info as a Docker engine does.
func fakeEngine(t *testing.T, code int, info engineInfo) (socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "ep") // a socket's path is short
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket = filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	require.NoError(t, err)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "/info", r.URL.Path)
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(info)
	}))
	_ = s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	return socket
}

// fakeHAProxy is a program that prints a text.
func fakeHAProxy(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "haproxy")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\ncat <<'E'\n"+text+"\nE\n"), 0o700))
	return path
}

// fakeServer answers what it was given, by path, and 404 else.
func fakeServer(t *testing.T, answers map[string]any) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, ok := answers[r.URL.Path]
		if code, bad := v.(int); bad || !ok {
			if !ok {
				code = 404
			}
			w.Header().Set("Content-Type", wire.ProblemType)
			w.WriteHeader(code)
			v = wire.ProblemDetails{Status: code, Detail: fmt.Sprintf("%s failed", r.URL.Path)}
		}
		_ = json.NewEncoder(w).Encode(v)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

const healthyHAProxy = "HAProxy version 2.9.4 2026/10/17 - https://haproxy.org/\nFeature list : +EPOLL +OPENSSL +PROMEX +THREAD"

var healthyEngine = engineInfo{ServerVersion: "29.1.0", LiveRestoreEnabled: true, CgroupVersion: "2", DockerRootDir: "/", MemoryLimit: true, CPUCfsQuota: true}

// illnesses make each finding that doctor knows.
func illnesses(t *testing.T) map[string]func(*diagnosis) {
	engine := func(change func(*engineInfo)) func(*diagnosis) {
		return func(d *diagnosis) {
			info := healthyEngine
			change(&info)
			examineEngine(t.Context(), d, fakeEngine(t, 200, info))
		}
	}
	haproxy := func(text string) func(*diagnosis) {
		return func(d *diagnosis) { examineHAProxy(t.Context(), d, fakeHAProxy(t, text)) }
	}
	server := func(change map[string]any) func(*diagnosis) {
		return func(d *diagnosis) {
			answers := map[string]any{
				"/healthz": wire.Health{Status: "ok"}, "/readyz": wire.Health{Status: "ok"},
				"/v1/cluster": wire.Cluster{Version: "v1"}, "/v1/whoami": wire.WhoAmI{Role: "operator"},
				"/v1/hosts": list([]wire.Host{{Name: "a", Status: &wire.HostStatus{Reachable: true}}}),
			}
			for path, v := range change {
				answers[path] = v
			}
			a := &app{now: time.Now, server: fakeServer(t, answers), resolved: true, timeout: time.Minute}
			c, err := a.client()
			require.NoError(t, err)
			defer c.Close()
			a.examineServer(t.Context(), c, d)
		}
	}
	host := func(h wire.Host) func(*diagnosis) { return func(d *diagnosis) { examineHost(d, h) } }
	n := func(n int64) *int64 { return &n }
	return map[string]func(*diagnosis){
		"no engine": func(d *diagnosis) { examineEngine(t.Context(), d, "/nowhere.sock") },
		"an engine that fails": func(d *diagnosis) {
			examineEngine(t.Context(), d, fakeEngine(t, 500, engineInfo{}))
		},
		"an old engine":               engine(func(i *engineInfo) { i.ServerVersion = "19.03.15" }),
		"an engine without limits":    engine(func(i *engineInfo) { i.MemoryLimit = false }),
		"an engine that warns":        engine(func(i *engineInfo) { i.Warnings = []string{"WARNING: No swap limit support"} }),
		"no live-restore":             engine(func(i *engineInfo) { i.LiveRestoreEnabled = false }),
		"live-restore, proxy unknown": engine(func(*engineInfo) {}), // this test listens, and is no dockerd
		"live-restore and a proxy":    func(d *diagnosis) { examineRestarts(d, true, true, true) },

		"no HAProxy":             func(d *diagnosis) { examineHAProxy(t.Context(), d, "/nowhere/haproxy") },
		"not HAProxy":            haproxy("hello"),
		"an old HAProxy":         haproxy("HAProxy version 2.4.1 2021/10/17"),
		"HAProxy without thread": haproxy("HAProxy version 2.9.4\nFeature list : +EPOLL -THREAD"),
		"HAProxy at its end":     haproxy("HAProxy version 2.7.1\nStatus: end of life, please upgrade"),

		"few files":      func(d *diagnosis) { judgeFiles(d, "file limit", 1024) },
		"a clock adrift": func(d *diagnosis) { judgeClock(d, false) },
		"clocks differ":  func(d *diagnosis) { examineSkew(d, -time.Minute) },
		"versions":       func(d *diagnosis) { examineVersions(d, "v1.2.3", "v1.2.4") },
		"a full disk":    func(d *diagnosis) { examineDisk(d, "machine", "make room", 0.97) },
		"a filling disk": func(d *diagnosis) { examineDisk(d, "machine", "make room", 0.9) },

		"no server": func(d *diagnosis) {
			a := &app{now: time.Now, server: "http://127.0.0.1:1", resolved: true, timeout: time.Minute}
			c, err := a.client()
			require.NoError(t, err)
			a.examineServer(t.Context(), c, d)
		},
		"a server that starts":       server(map[string]any{"/readyz": 503}),
		"a server that knows us not": server(map[string]any{"/v1/cluster": 401}),
		"a server that fails":        server(map[string]any{"/v1/cluster": 500}),
		"problems":                   server(map[string]any{"/v1/cluster": wire.Cluster{Problems: []wire.Problem{{Code: "no-room", Pod: "web", Text: "no room"}}}}),
		"hosts that are not told":    server(map[string]any{"/v1/hosts": 500}),
		"no hosts":                   server(map[string]any{"/v1/hosts": list([]wire.Host{})}),
		"no word on who we are":      server(map[string]any{"/v1/whoami": 500}),
		"a viewer":                   server(map[string]any{"/v1/whoami": wire.WhoAmI{Name: "eve", Role: "viewer", SignIn: true}}),
		"an open server":             func(d *diagnosis) { judgeAccess(d, "http://10.0.0.1:3000", wire.WhoAmI{Role: "operator"}) },

		"an unreachable host": host(wire.Host{Name: "a", Status: &wire.HostStatus{Error: "no route"}}),
		"cgroup v1":           host(wire.Host{Name: "a", Status: &wire.HostStatus{Reachable: true, Engine: "Docker 20.10, cgroup v1"}}),
		"a cordoned host":     host(wire.Host{Name: "a", Cordoned: true, Status: &wire.HostStatus{Reachable: true}}),
		"a host's full disk":  host(wire.Host{Name: "a", Status: &wire.HostStatus{Reachable: true, Used: wire.HostUsage{Disk: n(97), DiskTotal: n(100)}}}),
		"no memory":           host(wire.Host{Name: "a", Status: &wire.HostStatus{Reachable: true, Capacity: wire.Resources{Memory: 100}, Reserved: wire.Resources{Memory: 99}}}),
	}
}

// Everything that doctor may find fault with is found here, and has a remedy.
func TestDoctorFindsEverything(t *testing.T) {
	var found []finding
	for name, ill := range illnesses(t) {
		d := &diagnosis{}
		ill(d)
		bad := 0
		for _, f := range d.Findings {
			if f.State == "ok" {
				assert.Empty(t, f.Remedy, name)
				continue
			}
			bad++
			assert.NotEmpty(t, f.Remedy, "%s: %s", name, f.Text)
			assert.NotEmpty(t, f.Text, name)
			assert.NotContains(t, f.Text, "\n", name)
			found = append(found, f)
		}
		assert.NotZero(t, bad, "%s is not found", name)
		assert.Equal(t, bad, d.Warnings+d.Wrong, name)
	}
	for place, x := range complaints(t) {
		text := regexp.MustCompile("^" + verbs.ReplaceAllString(regexp.QuoteMeta(x.format), ".*") + "$")
		made := false
		for _, f := range found {
			made = made || f.State == x.state && text.MatchString(f.Text)
		}
		assert.True(t, made, "%s: nothing above makes it say %q", place, x.format)
	}
}

// verbs are those of a format whose signs are quoted.
var verbs = regexp.MustCompile(`%(\\\.\d+)?[a-z]|%%`)

type complaint struct{ state, format string }

// complaints reads from the source what doctor may find fault with.
func complaints(t *testing.T) map[string]complaint {
	t.Helper()
	files, err := filepath.Glob("doctor*.go")
	require.NoError(t, err)
	all := map[string]complaint{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, nil, 0)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 3 {
				return true
			}
			to, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || to.Sel.Name != "warn" && to.Sel.Name != "wrong" {
				return true
			}
			text, ok := call.Args[2].(*ast.BasicLit)
			require.True(t, ok, "%s: the text is no literal", fset.Position(call.Pos()))
			format, err := strconv.Unquote(text.Value)
			require.NoError(t, err)
			all[fset.Position(call.Pos()).String()] = complaint{map[string]string{"warn": "warning", "wrong": "wrong"}[to.Sel.Name], format}
			return true
		})
	}
	require.Greater(t, len(all), 25)
	return all
}

// A healthy machine gets no complaints.
func TestDoctorFindsNothingWhereNothingIs(t *testing.T) {
	d := &diagnosis{}
	examineHAProxy(t.Context(), d, fakeHAProxy(t, healthyHAProxy))
	examineRestarts(d, true, false, true)
	judgeFiles(d, "file limit", 1<<20)
	judgeFiles(d, "file limit", 1<<63)
	judgeClock(d, true)
	examineSkew(d, time.Second)
	examineVersions(d, "v1", "v1")
	examineVersions(d, "v1", "dev")
	examineDisk(d, "machine", "", 0.5)
	judgeAccess(d, "http://127.0.0.1:3000", wire.WhoAmI{Role: "operator"})
	judgeAccess(d, "https://cluster.example", wire.WhoAmI{Role: "operator", Name: "op", SignIn: true})
	examineHost(d, wire.Host{Name: "a", Status: &wire.HostStatus{Reachable: true, Engine: "Docker 29, cgroup v2"}})
	assert.Zero(t, d.Warnings+d.Wrong, "%v", d.Findings)
	assert.Len(t, d.Findings, 12)

	var b bytes.Buffer
	a := &app{out: screen{Writer: &b}}
	require.NoError(t, a.printDiagnosis(d))
	assert.Contains(t, b.String(), "Nothing is wrong; 0 warnings.")
	d.wrong("x", "mend it", "%s", errors.New("broken"))
	require.EqualError(t, a.printDiagnosis(d), "1 thing is wrong; do what stands beside it")
}

func TestDoctorKnowsWhereEnginesAre(t *testing.T) {
	docker := func(address string) wire.Host { return wire.Host{Runtime: "docker", Address: address} }
	assert.Equal(t, []string{"/run/user/1000/docker.sock", usualSocket}, localEngines([]wire.Host{
		docker("unix:///run/user/1000/docker.sock"), docker(""), docker("unix://" + usualSocket), docker("tcp://10.0.0.5:2376"), {Runtime: "process"},
	}))
	_, err := os.Stat(usualSocket)
	assert.Equal(t, err == nil, len(localEngines([]wire.Host{docker("ssh://root@10.0.0.6")})) == 1)
}
