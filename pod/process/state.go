package process

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/elastipod/elastipod/pod"
)

// Files in a node's directory.
const (
	runFile   = "run.json"   // what to run; removed by the supervisor once read, as it holds the environment
	stateFile = "state.json" // what runs, and how it ended; written by the supervisor
	aliveFile = "alive"      // locked for as long as the supervisor, or the manager that starts it, lives
	errorFile = "supervisor.log"
	secretDir = "secrets" // a directory, or a link to one elsewhere

	secretPrefix = "elastipod-secrets-" // of the directories for nodes that are another user

	lockSuffix = ".lock" // after the directory's name; see lockNode
)

// markEnv is the variable by which processes of one run of a node are found.
const markEnv = "ELASTIPOD_RUN"

// runSpec is what a supervisor is told to run.
type runSpec struct {
	Path       string      `json:"path"`
	Args       []string    `json:"args"`
	Env        []string    `json:"env"`
	WorkDir    string      `json:"work_dir"`
	Credential *credential `json:"credential,omitempty"`
	State      nodeState   `json:"state"` // what is known of it beforehand
}

// nodeState is what is known of a node.
type nodeState struct {
	ID         pod.NodeID        `json:"id"`
	Revision   string            `json:"revision"`
	Kind       pod.NodeKind      `json:"kind,omitempty"` // empty in states of earlier versions
	Endpoints  map[string]string `json:"endpoints"`
	Mark       string            `json:"mark"`
	Boot       string            `json:"boot"`
	Secrets    string            `json:"secrets,omitempty"` // directory, removed with the node
	Supervisor procRef           `json:"supervisor"`
	Main       procRef           `json:"main"`
	StartedAt  time.Time         `json:"started_at"`
	Exit       *pod.Exit         `json:"exit,omitempty"`
	Command    []string          `json:"command,omitempty"`  // as it was given
	Settings   string            `json:"settings,omitempty"` // as they were given
}

// clusterDir is where directories of this cluster's nodes lie.
func (r *Runtime) clusterDir() string {
	return filepath.Join(r.cfg.Dir, r.cfg.Cluster.Name, r.cfg.Cluster.ID)
}

// nodeDir is the directory of a node. The names hold no dots.
func (r *Runtime) nodeDir(id pod.NodeID) string { return r.nodeDirIn(r.cfg.Cluster.ID, id) }

func (r *Runtime) nodeDirIn(clusterID string, id pod.NodeID) string {
	return filepath.Join(r.cfg.Dir, r.cfg.Cluster.Name, clusterID, id.Pod+"."+id.Name)
}

// parseNodeDir returns the node to which a directory entry belongs.
func parseNodeDir(name string) (pod.NodeID, bool) {
	p, n, ok := strings.Cut(name, ".")
	return pod.NodeID{Pod: p, Name: n}, ok && pod.ValidName(p) && pod.ValidName(n)
}

// entries returns the nodes that have a directory in that of a cluster of our
// name, sorted, and the names of what else is there.
func (r *Runtime) entries(clusterID string) (nodes []pod.NodeID, rest []string, err error) {
	all, err := os.ReadDir(filepath.Join(r.cfg.Dir, r.cfg.Cluster.Name, clusterID))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	for _, e := range all {
		if id, ok := parseNodeDir(e.Name()); ok && e.IsDir() {
			nodes = append(nodes, id)
		} else {
			rest = append(rest, e.Name())
		}
	}
	slices.SortFunc(nodes, pod.NodeID.Compare)
	return nodes, rest, nil
}

// others calls f with each node of another cluster of our name, sorted by cluster
// id and node, until it returns an error.
func (r *Runtime) others(f func(clusterID string, id pod.NodeID, dir string) error) error {
	clusters, err := os.ReadDir(filepath.Join(r.cfg.Dir, r.cfg.Cluster.Name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, c := range clusters {
		if c.Name() == r.cfg.Cluster.ID || !c.IsDir() {
			continue
		}
		nodes, _, err := r.entries(c.Name())
		if err != nil {
			continue
		}
		for _, id := range nodes {
			if err := f(c.Name(), id, r.nodeDirIn(c.Name(), id)); err != nil {
				return err
			}
		}
	}
	return nil
}

// foreign returns [pod.ErrForeign] when a cluster of our name and another id
// has nodes here. What is left of a start that came to nothing is none.
func (r *Runtime) foreign() error {
	return r.others(func(clusterID string, id pod.NodeID, dir string) error {
		if _, err := readState(dir); stateless(dir, err) && !supervised(dir) {
			return nil
		}
		return fmt.Errorf("node %s belongs to cluster %s with id %s: %w", id, r.cfg.Cluster.Name, clusterID, pod.ErrForeign)
	})
}

// readState returns fs.ErrNotExist when the node does not exist, or has not
// come as far as to run. Another error means most often that the state is
// damaged: it is not synced, so a machine that lost its power may leave an empty
// file.
func readState(dir string) (nodeState, error) {
	b, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err != nil {
		return nodeState{}, err
	}
	var s nodeState
	if err := json.Unmarshal(b, &s); err != nil {
		return nodeState{}, fmt.Errorf("%s: %w", filepath.Join(dir, stateFile), err)
	}
	if s.ID == (pod.NodeID{}) {
		return nodeState{}, fmt.Errorf("%s names no node", filepath.Join(dir, stateFile))
	}
	return s, nil
}

// stateless says that an error of readState means that there is none: no file,
// or one that was torn when the machine lost its power, and the node with it. One
// that cannot be read, that another version wrote, or that a supervisor may yet
// mend, is a state.
func stateless(dir string, err error) bool {
	var torn *json.SyntaxError
	return errors.Is(err, fs.ErrNotExist) || errors.As(err, &torn) && !supervised(dir)
}

func writeState(dir string, s nodeState) error {
	return writeJSON(filepath.Join(dir, stateFile), s)
}

// writeJSON replaces a file atomically. It does not sync: what must survive is
// the death of processes, and the nodes do not survive that of the machine.
func writeJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	tmp := path + "." + random() + ".tmp"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		_ = os.Remove(tmp)
		return err
	}
	return nil
}

// random returns 16 hexadecimal digits.
func random() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// isMark says whether a text may be the mark of a run, which random made. One
// that a damaged state holds must not stand for the processes of others.
func isMark(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 8
}

// lockNode waits for the right to start, stop or remove a node, which one call
// of one manager has at a time. Nothing may be left of the lock either, so its
// file is removed on release, and whoever got the lock of a removed file tries
// again.
func (r *Runtime) lockNode(ctx context.Context, id pod.NodeID) (release func(), err error) {
	wait := time.Millisecond
	for {
		release, err := r.tryLockNode(id)
		if err != nil || release != nil {
			return release, err
		}
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
		wait = min(2*wait, 20*time.Millisecond)
	}
}

// tryLockNode returns nil, nil when somebody else has the lock.
func (r *Runtime) tryLockNode(id pod.NodeID) (release func(), err error) {
	path := r.nodeDir(id) + lockSuffix
	if err := os.MkdirAll(r.clusterDir(), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // the directory was just removed with its last node
	}
	if err != nil {
		return nil, err
	}
	if !tryFlock(f) || !samePath(f, path) {
		_ = f.Close()
		return nil, nil
	}
	return func() {
		_ = os.Remove(path)
		_ = f.Close()
		// Directories without nodes go too; these fail when there is any.
		if os.Remove(r.clusterDir()) == nil {
			_ = os.Remove(filepath.Dir(r.clusterDir()))
		}
	}, nil
}

func tryFlock(f *os.File) bool {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err != unix.EINTR {
			return err == nil
		}
	}
}

// samePath says whether the path still names the open file.
func samePath(f *os.File, path string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Stat(path)
	return err == nil && os.SameFile(a, b)
}

// supervised says whether a supervisor of the node lives, whatever its state
// says.
func supervised(dir string) bool {
	f, err := os.OpenFile(filepath.Join(dir, aliveFile), os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return !tryFlock(f)
}

// ownSecrets says whether a path is one that writeSecrets makes for a node.
func ownSecrets(dir, path string) bool {
	return path == filepath.Join(dir, secretDir) ||
		filepath.IsAbs(path) && filepath.Clean(path) == path && strings.HasPrefix(filepath.Base(path), secretPrefix)
}

// removeNode removes a node's directory and secrets; nothing of it runs any
// more, and its lock is held.
func removeNode(dir string, s nodeState) error {
	// However far a start or another removal came, the link is there as long as
	// what it names.
	elsewhere, _ := os.Readlink(filepath.Join(dir, secretDir))
	// The state first: a directory without one is cleared away by anybody.
	if err := os.Remove(filepath.Join(dir, stateFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, path := range []string{s.Secrets, elsewhere} {
		if !ownSecrets(dir, path) {
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	return os.RemoveAll(dir)
}
