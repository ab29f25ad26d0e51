package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// machineOptions say what of this machine is examined.
type machineOptions struct {
	engines []string // paths of their sockets
	haproxy string
	server  string // URL
}

const usualSocket = "/var/run/docker.sock"

// engineInfo is the part of an engine's answer to GET /info that matters.
type engineInfo struct {
	ServerVersion      string
	LiveRestoreEnabled bool
	CgroupVersion      string
	DockerRootDir      string
	MemoryLimit        bool
	CPUCfsQuota        bool `json:"CpuCfsQuota"`
	Warnings           []string
}

// askEngine asks an engine over its unix socket, and also returns the process that
// listens there, 0 where that is not known.
func askEngine(ctx context.Context, socket string) (engineInfo, int, error) {
	var info engineInfo
	pid := 0
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
		if err == nil {
			pid = peerOf(conn)
		}
		return conn, err
	}}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://engine/info", nil)
	if err != nil {
		return info, 0, err
	}
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return info, 0, innermost(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return info, 0, fmt.Errorf("it answers %s", res.Status)
	}
	return info, pid, json.NewDecoder(res.Body).Decode(&info)
}

func examineEngine(ctx context.Context, d *diagnosis, socket string) {
	const about = "engine"
	info, pid, err := askEngine(ctx, socket)
	if err != nil {
		d.wrong(about, "start it, name its socket with --engine, or run this as a user who may use it", "no answer at %s: %s", socket, err)
		return
	}
	d.ok(about, "Docker %s, cgroup v%s, data in %s", info.ServerVersion, info.CgroupVersion, info.DockerRootDir)
	if major, err := strconv.Atoi(strings.SplitN(info.ServerVersion, ".", 2)[0]); err == nil && major < 20 {
		d.wrong(about, "install 20.10 or newer", "version %s is older than what is supported", info.ServerVersion)
	}
	if !info.MemoryLimit || !info.CPUCfsQuota {
		d.wrong(about, "enable the cgroup controllers memory and cpu of the kernel (cgroup_enable=memory)", "it cannot limit memory or CPU, so limits of nodes do nothing")
	}
	for _, w := range info.Warnings {
		d.warn(about, "see the engine's documentation", "it says: %s", strings.TrimPrefix(w, "WARNING: "))
	}
	proxy, known := userlandProxy(pid)
	examineRestarts(d, info.LiveRestoreEnabled, proxy, known)
	if used, err := diskUse(info.DockerRootDir); err == nil {
		examineDisk(d, about, "docker system prune, or a larger disk for "+info.DockerRootDir, used)
	}
}

// examineRestarts says what the engine's flags mean when it dies or restarts.
func examineRestarts(d *diagnosis, liveRestore, proxy, known bool) {
	const about = "engine restart"
	const both = `set "live-restore": true and "userland-proxy": false in /etc/docker/daemon.json and restart the engine once`
	switch {
	case !liveRestore:
		d.warn(about, both, "live-restore is off: when the engine restarts every node on it stops, and their published ports are dead")
	case !known:
		d.warn(about, both+"; run this as root to see the flag", "live-restore is on: nodes live on; with userland-proxy, which cannot be seen from here, their published ports are dead until the engine is back")
	case proxy:
		d.warn(about, both+", or let the balancer dial container addresses (address mode container)", "live-restore is on and userland-proxy too: nodes live on, but their published ports are dead until the engine is back")
	default:
		d.ok(about, "live-restore is on and userland-proxy off: nodes live on and answer, also on published ports")
	}
}

// userlandProxy says whether the engine that is a process of this machine runs with
// docker-proxy, as its flags and its configuration say; known is false where they
// cannot be read.
func userlandProxy(pid int) (on, known bool) {
	if pid <= 0 {
		return true, false
	}
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	args := strings.Split(strings.TrimRight(string(data), "\x00"), "\x00")
	if err != nil || filepath.Base(args[0]) != "dockerd" {
		return true, false
	}
	config := "/etc/docker/daemon.json"
	for i, arg := range args {
		name, value, given := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		switch {
		case name == "userland-proxy" && given:
			on, err := strconv.ParseBool(value)
			return on, err == nil
		case name == "userland-proxy":
			return true, true
		case name == "config-file" && given:
			config = value
		case name == "config-file" && i+1 < len(args):
			config = args[i+1]
		}
	}
	var settings struct {
		Proxy *bool `json:"userland-proxy"`
	}
	if data, err := os.ReadFile(config); err == nil {
		if err := json.Unmarshal(data, &settings); err != nil {
			return true, false
		}
	} else if !os.IsNotExist(err) {
		return true, false
	}
	return settings.Proxy == nil || *settings.Proxy, true
}
