package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/elastipod/elastipod/pod"
)

// known is what this runtime remembers of a node between observations.
type known struct {
	state nodeState
	file  os.FileInfo // of the state file that was read
	cpu   time.Duration
}

// Observe implements [pod.Runtime].
func (r *Runtime) Observe(ctx context.Context) (pod.Snapshot, error) {
	s, err := r.observe(ctx)
	if err != nil {
		return pod.Snapshot{}, fmt.Errorf("observe processes: %w", err)
	}
	return s, nil
}

func (r *Runtime) observe(ctx context.Context) (pod.Snapshot, error) {
	var snap pod.Snapshot
	if err := r.usable(ctx); err != nil {
		return snap, err
	}
	if err := r.foreign(); err != nil {
		return snap, err
	}
	entries, err := os.ReadDir(r.clusterDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return snap, err
	}
	nodes := r.load(entries)
	// Processes are read after the states, so that one that was started before
	// is there, and one that is missing has ended.
	table, err := readTable()
	if err != nil {
		return snap, err
	}
	now := time.Now()
	for _, id := range slices.SortedFunc(maps.Keys(nodes), compareID) {
		k := nodes[id]
		if k.state.Exit == nil && (k.state.Boot != r.boot || !table.alive(k.state.Supervisor)) {
			if !r.ended(ctx, id, k) {
				continue // stopped meanwhile
			}
		}
		if s, ok := table.stats[k.state.Supervisor.PID]; ok && s.Start == k.state.Supervisor.Start {
			reap(s)
		}
		n := k.state.view()
		if n.Phase == pod.PhaseRunning {
			n.Usage = r.usage(k, table, now)
		}
		snap.Nodes = append(snap.Nodes, n)
	}
	snap.Host, err = r.host()
	return snap, err
}

func compareID(a, b pod.NodeID) int {
	return cmp.Or(cmp.Compare(a.Pod, b.Pod), cmp.Compare(a.Name, b.Name))
}

// load returns the nodes of which there are states, reading those that changed.
func (r *Runtime) load(entries []fs.DirEntry) map[pod.NodeID]*known {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := make(map[pod.NodeID]*known, len(entries))
	for _, e := range entries {
		id, ok := parseNodeDir(e.Name())
		if !ok || !e.IsDir() {
			continue
		}
		dir := r.nodeDir(id)
		info, err := os.Stat(filepath.Join(dir, stateFile))
		if err != nil {
			r.collect(id, dir)
			continue
		}
		old := r.nodes[id]
		if old != nil && os.SameFile(old.file, info) && old.file.ModTime().Equal(info.ModTime()) {
			next[id] = old
			continue
		}
		s, err := readState(dir)
		if err != nil || s.ID != id {
			continue // being removed
		}
		k := &known{state: s, file: info}
		if old != nil && old.state.Mark == s.Mark {
			k.cpu = old.cpu
		}
		next[id] = k
	}
	r.nodes = next
	return maps.Clone(next)
}

// collect removes the directory of a start whose manager was killed before the
// supervisor ran.
func (r *Runtime) collect(id pod.NodeID, dir string) {
	release, err := r.tryLockNode(id)
	if err != nil || release == nil {
		return // being started or stopped
	}
	defer release()
	if supervised(dir) || exists(filepath.Join(dir, stateFile)) {
		return
	}
	_ = removeNode(dir, nodeState{})
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// ended finds out how a node ended whose supervisor is gone, and records it
// where the supervisor could not. It returns false when the node is gone too.
func (r *Runtime) ended(ctx context.Context, id pod.NodeID, k *known) bool {
	dir := r.nodeDir(id)
	s, err := readState(dir)
	if err != nil {
		return false
	}
	if s.Exit == nil {
		// The kernel has killed the main process; its descendants are ours to
		// kill. The machine's restart killed all.
		s.Exit = &pod.Exit{Code: 128 + 9, At: time.Now(), LastLog: append(lastLog(dir), "(the node's supervisor was killed)")}
		if s.Boot != r.boot {
			s.Exit.LastLog[len(s.Exit.LastLog)-1] = "(the machine was restarted)"
		}
		s.Exit.LastLog = s.Exit.LastLog[max(0, len(s.Exit.LastLog)-pod.LastLogLines):]
		if release, err := r.tryLockNode(id); err == nil && release != nil {
			if s.Boot == r.boot {
				_ = sweep(ctx, s.Mark)
			}
			if exists(filepath.Join(dir, stateFile)) {
				if err := writeState(dir, s); err == nil {
					if again, err := readState(dir); err == nil {
						s = again
					}
				}
			}
			release()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	k.state = s
	return true
}

// usage sums up the tree below the supervisor. A child that ended between two
// of these readings is in its parent's account by the next: what was seen
// before is the least.
func (r *Runtime) usage(k *known, t processTable, now time.Time) pod.Usage {
	ticks := t.stats[k.state.Supervisor.PID].cpuReaped
	u := pod.Usage{At: now}
	buf := make([]byte, 256)
	for _, pid := range t.descendants(k.state.Supervisor.PID) {
		s := t.stats[pid]
		ticks += s.cpu + s.cpuReaped
		u.Memory += anonymous(pid, buf)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	k.cpu = max(k.cpu, time.Duration(ticks)*clockTick)
	u.CPU = k.cpu
	return u
}

// view returns the node as callers see it, but for its usage.
func (s nodeState) view() pod.Node {
	n := pod.Node{
		ID: s.ID, Revision: s.Revision, Handle: strconv.Itoa(s.Main.PID), Phase: pod.PhaseRunning,
		StartedAt: s.StartedAt, Endpoints: maps.Clone(s.Endpoints),
	}
	if s.Exit != nil {
		e := *s.Exit
		e.LastLog = slices.Clone(e.LastLog)
		n.Phase, n.Exit = pod.PhaseExited, &e
	}
	return n
}
