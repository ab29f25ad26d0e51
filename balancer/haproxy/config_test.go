package haproxy

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/balancertest"
)

func TestConfigIsRefused(t *testing.T) {
	dir := testDir(t)
	fake := func(name, script string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o700))
		return path
	}
	for name, c := range map[string]struct {
		cfg  Config
		says string
	}{
		"no directory":    {Config{}, "Config.Dir"},
		"no program":      {Config{Dir: dir, Binary: filepath.Join(dir, "none")}, "install the package haproxy"},
		"too old":         {Config{Dir: dir, Binary: fake("old", "echo HAProxy version 2.2.9-2+deb11u6 2023/02/14")}, "2.6 or newer"},
		"no HAProxy":      {Config{Dir: dir, Binary: fake("other", "echo nginx")}, "did not tell a version"},
		"program fails":   {Config{Dir: dir, Binary: fake("fails", "exit 3")}, "exit status 3"},
		"long sockets":    {Config{Dir: dir, SocketDir: "/tmp/" + strings.Repeat("x", 80)}, "too long for unix sockets"},
		"strange sockets": {Config{Dir: dir, SocketDir: "/tmp/a b"}, "letters, digits"},
		"too many":        {Config{Dir: dir, MaxConn: 100_000_000}, "ulimit"},
		"negative":        {Config{Dir: dir, Threads: -1}, "not negative"},
	} {
		_, err := New(c.cfg)
		assert.ErrorContains(t, err, c.says, name)
	}
}

func TestLongDirectoryGetsShortSockets(t *testing.T) {
	base := testDir(t)
	dir := filepath.Join(base, strings.Repeat("long", 25), "with space")
	b, err := New(Config{Dir: dir})
	require.NoError(t, err)
	defer func() { require.NoError(t, b.Close()) }()
	assert.LessOrEqual(t, len(b.cfg.SocketDir), maxSocketDir)
	again, err := Config{Dir: dir}.withDefaults()
	require.NoError(t, err)
	assert.Equal(t, b.cfg.SocketDir, again.SocketDir, "the same for the same directory")
	fi, err := os.Stat(b.cfg.SocketDir)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), fi.Mode().Perm())
	require.NoError(t, os.RemoveAll(b.cfg.SocketDir))
}

func TestRender(t *testing.T) {
	c := Config{Dir: "/d", SocketDir: "/s", MaxConn: 100, SampleEvery: 5, HardStopAfter: time.Minute}
	f := balancer.Front{Name: "web", Listen: "[::ffff:127.0.0.1]:80", CheckPath: "/healthz", MaxConn: 9}.WithDefaults()
	text := c.render("id", revision{Number: 4}, map[string]*front{"web": {Front: f, servers: map[string]server{
		"a": {Server: balancer.Server{Name: "a", Addr: "[::1]:80", Weight: 5, State: balancer.Ready}, id: 7},
		"b": {Server: balancer.Server{Name: "b", Addr: "10.0.0.1:80", Weight: 5, State: balancer.Drain}, id: 8},
	}}})
	for _, line := range []string{
		"description \"elastipod id 4\"", "maxconn 100", "hard-stop-after 60000ms", "bind 127.0.0.1:80", "balance leastconn",
		"timeout connect 200ms", "retries 6", "option redispatch 1", "retry-on conn-failure empty-response response-timeout",
		"http-request disable-l7-retry unless { method GET HEAD OPTIONS TRACE PUT DELETE }",
		"http-check send meth GET uri /healthz ver HTTP/1.1 hdr Host elastipod",
		"use_backend web.relay if { stopping }",
		"option srvtcpka", "srvtcpka-idle 5s", "srvtcpka-intvl 1s", "srvtcpka-cnt 5",
		"acl busy2 fe_req_rate gt 2500",
		"http-request set-var(txn.every) int(25) if busy2 !busy3 !{ rand(25) gt 0 }",
	} {
		assert.Contains(t, text, "  "+line+"\n")
	}
	assert.Contains(t, text, "  server a [::1]:80 id 7 weight 5 check ")
	assert.Contains(t, text, "  server b 10.0.0.1:80 id 8 weight 0 check ", "a server that drains begins without weight")
	assert.Contains(t, text, " maxconn 9\n")
	assert.NotContains(t, text, "hash-type")

	c.SampleEvery = 1
	assert.NotContains(t, c.render("id", revision{Number: 4}, map[string]*front{"web": {Front: f}}), "busy", "1 measures all")
	f.Retries, f.Algorithm = -1, balancer.Source
	text = c.render("id", revision{Number: 4}, map[string]*front{"web": {Front: f}})
	assert.Contains(t, text, "  retries 0\n")
	assert.NotContains(t, text, "retry-on")
	assert.Contains(t, text, "  hash-type consistent\n")
	f.Retries, f.RetryNonIdempotent = 2, true
	text = c.render("id", revision{Number: 4}, map[string]*front{"web": {Front: f}})
	assert.NotContains(t, text, "disable-l7-retry")
}

// HAProxy refuses to start, and to reload, when connections and servers do not
// fit into the limit of open files together.
func TestMaxConnLeavesRoomForServers(t *testing.T) {
	few, many := fittingMaxConn(1, 0), fittingMaxConn(1, 1000)
	assert.Equal(t, few-1000, many)
	assert.Positive(t, fittingMaxConn(1000, 1<<30))
	b := openBalancer(t)
	f := balancer.Front{Name: "web", Listen: balancertest.FreeAddr(t)}
	setFront(t, b, f)
	var servers []balancer.Server
	for i := range 600 {
		servers = append(servers, balancer.Server{Name: fmt.Sprintf("n-%d", i), Addr: "127.0.0.1:9"})
	}
	apply(t, b, "web", servers...)
	f.MaxConn = 3
	setFront(t, b, f)
	assert.Len(t, observe(t, b, "web").Servers, 600)
}

func TestDamagedStateIsRefused(t *testing.T) {
	dir := testDir(t)
	path := filepath.Join(dir, "state.json")
	for _, bad := range []string{"{", "{}", "[]"} {
		require.NoError(t, os.WriteFile(path, []byte(bad), 0o600))
		_, err := New(Config{Dir: dir})
		require.ErrorContains(t, err, "damaged", bad)
	}
	require.NoError(t, os.Remove(path))
}
