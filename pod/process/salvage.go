package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/elastipod/elastipod/pod"
)

// Salvage implements [pod.Salvager]: it reads the states of the nodes of other
// clusters of our name, and what the kernel still knows of their programs.
func (r *Runtime) Salvage(ctx context.Context) ([]pod.Salvaged, error) {
	out, err := r.salvage(ctx)
	if err != nil {
		return nil, fmt.Errorf("look for nodes of another manager: %w", err)
	}
	return out, nil
}

func (r *Runtime) salvage(ctx context.Context) ([]pod.Salvaged, error) {
	if err := r.usable(ctx); err != nil {
		return nil, err
	}
	ids, err := r.otherIDs()
	if err != nil {
		return nil, err
	}
	var out []pod.Salvaged
	for _, id := range ids {
		other := filepath.Join(r.cfg.Dir, r.cfg.Cluster.Name, id)
		entries, err := os.ReadDir(other)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			node, ok := parseNodeDir(e.Name())
			if !ok || !e.IsDir() {
				continue
			}
			dir := filepath.Join(other, e.Name())
			s, err := readState(dir)
			if stateless(dir, err) {
				continue // it did not come as far as to run
			}
			if err != nil {
				return nil, err
			}
			if s.ID != node {
				return nil, fmt.Errorf("%s names itself %s", dir, s.ID)
			}
			out = append(out, r.salvaged(id, s))
		}
	}
	slices.SortStableFunc(out, func(a, b pod.Salvaged) int { return compareID(a.Node.ID, b.Node.ID) })
	slices.SortStableFunc(out, func(a, b pod.Salvaged) int { return strings.Compare(a.ClusterID, b.ClusterID) })
	return out, nil
}

// salvaged says what is known of a node, which is left as it is.
func (r *Runtime) salvaged(clusterID string, s nodeState) pod.Salvaged {
	if s.Exit == nil && !r.runs(s) {
		s.Exit = &pod.Exit{Code: 128 + 9}
	}
	out := pod.Salvaged{ClusterID: clusterID, Node: s.view(), Settings: s.Settings, Command: slices.Clone(s.Command)}
	if s.Exit == nil && s.Main.alive() {
		out.Env = environOf(s.Main.PID)
	}
	return out
}

// environOf returns the environment with which a process was started; nil where
// it cannot be read.
func environOf(pid int) map[string]string {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	if err != nil || len(data) == 0 {
		return nil
	}
	env := map[string]string{}
	for kv := range bytes.SplitSeq(data, []byte{0}) {
		if name, value, ok := strings.Cut(string(kv), "="); ok {
			env[name] = value
		}
	}
	return env
}

// otherIDs returns the ids of other clusters of our name that have nodes here,
// sorted.
func (r *Runtime) otherIDs() ([]string, error) {
	ids, err := os.ReadDir(filepath.Join(r.cfg.Dir, r.cfg.Cluster.Name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var out []string
	for _, id := range ids {
		if id.Name() == r.cfg.Cluster.ID || !id.IsDir() {
			continue
		}
		nodes, err := os.ReadDir(filepath.Join(r.cfg.Dir, r.cfg.Cluster.Name, id.Name()))
		if err != nil {
			continue
		}
		if slices.ContainsFunc(nodes, func(n fs.DirEntry) bool {
			_, ok := parseNodeDir(n.Name())
			return ok && n.IsDir()
		}) {
			out = append(out, id.Name())
		}
	}
	return out, nil
}
