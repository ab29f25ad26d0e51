package process

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/elastipod/elastipod/pod"
)

// known is what this runtime remembers of a node between observations. It is
// guarded by the runtime's lock; states are not changed once they are here.
type known struct {
	state nodeState
	file  os.FileInfo // of the state file that was read
	cpu   time.Duration
}

// Observe implements [pod.Runtime].
func (r *Runtime) Observe(ctx context.Context) (pod.Snapshot, error) {
	return call(ctx, r, "observe processes", func() (pod.Snapshot, error) { return r.observe(ctx) })
}

func (r *Runtime) observe(ctx context.Context) (pod.Snapshot, error) {
	var snap pod.Snapshot
	if err := r.foreign(); err != nil {
		return snap, err
	}
	nodes, rest, err := r.entries(r.cfg.Cluster.ID)
	if err != nil {
		return snap, err
	}
	for _, name := range rest {
		r.collectLock(name)
	}
	states := r.load(nodes)
	// Processes are read after the states, so that one that was started before
	// is there, and one that is missing has ended.
	table, err := readTable()
	if err != nil {
		return snap, err
	}
	now := time.Now()
	for _, id := range nodes {
		s, ok := states[id]
		if !ok {
			continue
		}
		if s.Exit == nil && (s.Boot != r.boot || !table.alive(s.Supervisor)) {
			var there bool
			if s, there = r.ended(ctx, id); !there {
				continue // stopped meanwhile
			}
		}
		if p, ok := table.stats[s.Supervisor.PID]; ok && p.Start == s.Supervisor.Start {
			reap(p)
		}
		n := s.view()
		if n.Phase == pod.PhaseRunning {
			n.Usage = r.usage(s, table, now)
		}
		snap.Nodes = append(snap.Nodes, n)
	}
	snap.Host, err = r.host()
	return snap, err
}

// load returns the nodes of which there are states, reading those that changed.
func (r *Runtime) load(nodes []pod.NodeID) map[pod.NodeID]nodeState {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := make(map[pod.NodeID]*known, len(nodes))
	states := make(map[pod.NodeID]nodeState, len(nodes))
	for _, id := range nodes {
		dir := r.nodeDir(id)
		info, err := os.Stat(filepath.Join(dir, stateFile))
		if err != nil {
			r.collect(id, dir)
			continue
		}
		old := r.nodes[id]
		if old != nil && os.SameFile(old.file, info) && old.file.ModTime().Equal(info.ModTime()) {
			next[id], states[id] = old, old.state
			continue
		}
		s, err := readState(dir)
		if err != nil || s.ID != id {
			r.collect(id, dir) // or it is being removed
			continue
		}
		k := &known{state: s, file: info}
		if old != nil && old.state.Mark == s.Mark {
			k.cpu = old.cpu
		}
		next[id], states[id] = k, s
	}
	r.nodes = next
	return states
}

// collect removes the directory of a node that has no state: its manager was
// killed before the supervisor ran, or in the middle of removing it, or the machine
// lost its power before the state was on the disk.
func (r *Runtime) collect(id pod.NodeID, dir string) {
	release, err := r.tryLockNode(id)
	if err != nil || release == nil {
		return // being started or stopped
	}
	defer release()
	if _, err := readState(dir); !stateless(dir, err) || supervised(dir) {
		return
	}
	_ = removeNode(dir, nodeState{})
}

// collectLock removes the lock of a node that is not there, where nobody holds
// it: its manager was killed at the very end of a stop, or at the very beginning
// of a start.
func (r *Runtime) collectLock(entry string) {
	name, ok := strings.CutSuffix(entry, lockSuffix)
	id, node := parseNodeDir(name)
	if !ok || !node || exists(r.nodeDir(id)) {
		return
	}
	if release, err := r.tryLockNode(id); err == nil && release != nil {
		release()
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// ended finds out how a node ended whose supervisor is gone, and records it
// where the supervisor could not. It returns false when the node is gone too.
func (r *Runtime) ended(ctx context.Context, id pod.NodeID) (s nodeState, there bool) {
	dir := r.nodeDir(id)
	s, err := readState(dir)
	if err != nil || s.Exit != nil {
		return s, err == nil
	}
	if r.runs(s) { // another run by now
		return s, true
	}
	why := "(the node's supervisor was killed)"
	if s.Boot != r.boot {
		why = "(the machine was restarted)"
	}
	lines := append(tailLog(dir, pod.LastLogLines), why)
	e := pod.Exit{Code: 128 + 9, At: time.Now(), LastLog: lines[max(0, len(lines)-pod.LastLogLines):]}
	release, err := r.tryLockNode(id)
	if err != nil || release == nil { // being stopped or replaced
		s.Exit = &e
		return s, true
	}
	defer release()
	now, err := readState(dir)
	if err != nil || now.Mark != s.Mark || now.Exit != nil {
		return now, err == nil
	}
	if s.Boot == r.boot {
		// The kernel has killed the main process; the rest is ours to kill.
		_ = sweep(ctx, s.Mark)
		reapRef(s.Main)
	}
	s.Exit = &e
	if err := writeState(dir, s); err == nil {
		if now, err := readState(dir); err == nil {
			s = now // just as it will be read from now on
		}
	}
	return s, true
}

// usage sums up the tree below the supervisor. A child that ended between two
// of these readings is in its parent's account by the next: what was seen
// before is the least.
func (r *Runtime) usage(s nodeState, t processTable, now time.Time) pod.Usage {
	ticks := t.stats[s.Supervisor.PID].cpuReaped
	u := pod.Usage{At: now}
	buf := make([]byte, 256)
	for _, pid := range t.descendants(s.Supervisor.PID) {
		p := t.stats[pid]
		ticks += p.cpu + p.cpuReaped
		u.Memory += anonymous(pid, buf)
	}
	u.CPU = tickTime(ticks)
	r.mu.Lock()
	defer r.mu.Unlock()
	if k := r.nodes[s.ID]; k != nil && k.state.Mark == s.Mark {
		k.cpu = max(k.cpu, u.CPU)
		u.CPU = k.cpu
	}
	return u
}

// view returns the node as callers see it, but for its usage.
func (s nodeState) view() pod.Node {
	n := pod.Node{
		ID: s.ID, Revision: s.Revision, Kind: cmp.Or(s.Kind, pod.NodeService), Handle: strconv.Itoa(s.Main.PID), Phase: pod.PhaseRunning,
		StartedAt: s.StartedAt, Endpoints: maps.Clone(s.Endpoints),
	}
	if s.Exit != nil {
		e := *s.Exit
		e.LastLog = slices.Clone(e.LastLog)
		n.Phase, n.Exit = pod.PhaseExited, &e
	}
	return n
}
