//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/wire"
)

// world looks at the machine, and says what is there and should not be, and the
// other way round. It does not believe the server: it asks Docker and the kernel.
func (k *killing) world() (wrong []string) {
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	same := func(what string, want, have []string) {
		slices.Sort(want)
		slices.Sort(have)
		if !slices.Equal(want, have) {
			say("%s: expected %v, there are %v", what, want, have)
		}
	}
	var nodes []wire.Node // that run
	fronts := map[string][]string{}
	var listen []string
	for _, p := range k.pods() {
		list, err := k.api.Nodes(k.t.Context(), p.Name)
		if err != nil {
			say("nodes of pod %s: %v", p.Name, err) // it has just gone
		}
		online := []string{}
		for _, n := range list {
			switch n.State {
			case "online":
				nodes = append(nodes, n)
				online = append(online, n.Name)
			case "new", "failed":
			default:
				say("node %s of pod %s is %s", n.Name, p.Name, n.State)
			}
		}
		if len(online) != p.Status.Want {
			say("pod %s has %d nodes online and wants %d", p.Name, len(online), p.Status.Want)
		}
		if !p.Status.Converged || len(p.Status.Problems) > 0 {
			say("pod %s has not converged: %v", p.Name, p.Status.Problems)
		}
		for _, f := range p.Fronts {
			fronts[f.Name] = online
			listen = append(listen, f.Listen)
		}
	}

	b, err := k.api.Balancer(k.t.Context())
	require.NoError(k.t, err)
	var have []string
	for _, f := range b.Fronts {
		have = append(have, f.Name)
		var servers []string
		for _, s := range f.Servers {
			servers = append(servers, s.Name)
		}
		same("servers of front "+f.Name, slices.Clone(fronts[f.Name]), servers)
	}
	same("fronts", slices.Collect(maps.Keys(fronts)), have)
	hosts, err := k.api.Hosts(k.t.Context())
	require.NoError(k.t, err)
	for _, h := range hosts {
		if h.Status.Nodes != len(nodes) {
			say("host %s has reservations of %d nodes, and %d run", h.Name, h.Status.Nodes, len(nodes))
		}
	}

	procs := processesNaming(k.dir + "/data")
	if k.stack.engine != nil {
		k.dockerWorld(nodes, listen, procs, same)
	} else {
		k.processWorld(nodes, listen, procs, same)
	}
	files := k.files()
	relays := 0 // HAProxy has one for each front
	for _, f := range slices.Sorted(maps.Keys(files)) {
		if strings.HasPrefix(f, "haproxy/relay-") && strings.HasSuffix(f, ".sock") {
			relays++
			continue
		}
		if k.ordinary != nil && !k.ordinary[f] || strings.Contains(f, ".new") || strings.Contains(f, ".tmp") {
			say("a file was left: %s", f)
		}
	}
	if k.stack.engine != nil && relays != len(fronts) {
		say("HAProxy has %d sockets of fronts, and there are %d fronts", relays, len(fronts))
	}
	return wrong
}

type compare func(what string, want, have []string)

// dockerWorld: one container for each node and none beside, one HAProxy, and it
// listens where the fronts are.
func (k *killing) dockerWorld(nodes []wire.Node, listen []string, procs map[int]*proc, same compare) {
	var want, have []string
	for _, n := range nodes {
		want = append(want, n.Pod+"/"+n.Name+" "+n.Handle)
	}
	list, err := k.docker.ContainerList(k.t.Context(), container.ListOptions{All: true})
	require.NoError(k.t, err)
	for _, c := range list {
		name := c.Labels["io.elastipod.pod"] + "/" + c.Labels["io.elastipod.node"] + " " + c.ID
		if c.State != container.StateRunning {
			name += " " + string(c.State)
		}
		have = append(have, name)
	}
	same("containers", want, have)
	masters := []string{}
	var all []int
	for pid, p := range procs {
		if p.name != "haproxy" || bytes.Contains(p.line, []byte("\x00-c\x00")) {
			continue
		}
		all = append(all, pid)
		if parent := procs[p.parent]; parent == nil || parent.name != "haproxy" {
			masters = append(masters, "haproxy")
		}
	}
	same("HAProxy's masters", []string{"haproxy"}, masters)
	same("addresses of HAProxy", slices.Clone(listen), listening(all))
}

// processWorld: one supervisor for each node and none beside, one directory, one
// port; and the server itself listens where the fronts are.
func (k *killing) processWorld(nodes []wire.Node, listen []string, procs map[int]*proc, same compare) {
	var dirs, ports, want []string
	for _, n := range nodes {
		dirs = append(dirs, n.Pod+"."+n.Name)
		_, port, _ := net.SplitHostPort(n.Endpoints["http"])
		ports = append(ports, port)
		want = append(want, n.Handle)
	}
	var supervisors, mains, opened []string
	for pid, p := range procs {
		switch {
		case pid == k.cmd.Process.Pid:
		case bytes.Contains(p.line, []byte(k.dir+"/data/nodes/")):
			supervisors = append(supervisors, filepath.Base(string(bytes.Split(p.line, []byte{0})[2])))
		case procs[p.parent] != nil:
			mains = append(mains, strconv.Itoa(pid))
			for _, a := range listening([]int{pid}) {
				_, port, _ := net.SplitHostPort(a)
				opened = append(opened, port)
			}
		}
	}
	same("supervisors", slices.Clone(dirs), supervisors)
	same("nodes' processes", want, mains)
	same("nodes' ports", slices.Clone(ports), opened)
	same("reserved ports", ports, k.reserved())
	same("addresses of the server", append(slices.Clone(listen), strings.TrimPrefix(k.url, "http://")), listening([]int{k.cmd.Process.Pid}))
	entries, err := filepath.Glob(k.dir + "/data/nodes/*/*/*/*")
	require.NoError(k.t, err)
	have := []string{}
	for _, e := range entries {
		have = append(have, filepath.Base(e))
	}
	same("directories of nodes", dirs, have)
}

// reserved returns the ports of this test that nodes hold.
func (k *killing) reserved() []string {
	var out []string
	text, err := os.ReadFile("/proc/net/unix")
	require.NoError(k.t, err)
	for line := range strings.Lines(string(text)) {
		_, name, ok := strings.Cut(strings.TrimSpace(line), "@elastipod-port-")
		if n, err := strconv.Atoi(name); ok && err == nil && n >= k.ports && n < k.ports+portRange {
			out = append(out, name)
		}
	}
	return out
}

// files returns what is in the data directory, without nodes.
func (k *killing) files() map[string]bool {
	out := map[string]bool{}
	root := filepath.Join(k.dir, "data")
	require.NoError(k.t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(root, path)
		switch {
		case err != nil && !os.IsNotExist(err):
			return err
		case d != nil && d.IsDir() && rel == "nodes":
			return fs.SkipDir
		case err == nil && !d.IsDir():
			out[rel] = true
		}
		return nil
	}))
	return out
}

// proc is a process that runs.
type proc struct {
	parent int
	name   string
	line   []byte // arguments, each ended by a zero
}

// processesNaming returns the processes one of whose arguments names a path, and
// all below them.
func processesNaming(path string) map[int]*proc {
	all := map[int]*proc{}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		stat, err := os.ReadFile(dir + "/stat")
		if err != nil {
			continue
		}
		begin, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
		rest := strings.Fields(string(stat[end+1:]))
		if rest[0] == "Z" {
			continue
		}
		line, err := os.ReadFile(dir + "/cmdline")
		if err != nil {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(dir))
		parent, _ := strconv.Atoi(rest[1])
		all[pid] = &proc{parent: parent, name: string(stat[begin+1 : end]), line: line}
	}
	found := map[int]*proc{}
	for grown := true; grown; {
		grown = false
		for pid, p := range all {
			if found[pid] == nil && pid != os.Getpid() && (bytes.Contains(p.line, []byte(path)) || found[p.parent] != nil) {
				found[pid], grown = p, true
			}
		}
	}
	return found
}

// listening returns the TCP addresses on which processes listen, each once.
func listening(pids []int) []string {
	sockets := map[string]bool{}
	for _, pid := range pids {
		fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		for _, fd := range fds {
			if target, err := os.Readlink(fd); err == nil {
				sockets[target] = true
			}
		}
	}
	found := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, _ := os.ReadFile(table)
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if len(f) < 10 || f[3] != "0A" || !sockets["socket:["+f[9]+"]"] {
				continue
			}
			ip, port, _ := strings.Cut(f[1], ":")
			number, _ := strconv.ParseUint(port, 16, 16)
			address := "127.0.0.1"
			if ip != "0100007F" {
				address = ip
			}
			found[net.JoinHostPort(address, strconv.FormatUint(number, 10))] = true
		}
	}
	return slices.Collect(maps.Keys(found))
}
