package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"

	"github.com/elastipod/elastipod/internal/fault"
	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/internal/machine"
)

// Config configures a [Runtime].
type Config struct {
	// Cluster says whose nodes these are. Required.
	Cluster pod.Cluster
	// Dir is where the state of nodes lies: an absolute path, made when missing,
	// mode 0700. Required. Managers that share it see each other's clusters.
	Dir string
	// Supervisor is the argument vector that starts this program as a
	// supervisor: its main function passes the arguments that follow to
	// [Supervise]. Required; typically [os.Executable] and a hidden subcommand.
	Supervisor []string
	// WorkDir is the working directory of nodes, and where relative program
	// names start from. Default: that of this process.
	WorkDir string
	// Capacity replaces what the machine has, field by field, where not 0.
	Capacity pod.Resources
	// PortMin and PortMax bound the ports that nodes get. Default 20000 to
	// 32767, below the range from which Linux takes ports of connections.
	PortMin, PortMax int
}

// idRE is what a cluster id may look like: it names a directory.
var idRE = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*$`)

// WithDefaults returns the configuration with unset fields filled in.
func (c Config) WithDefaults() Config {
	if c.WorkDir == "" {
		c.WorkDir, _ = os.Getwd()
	}
	if c.PortMin == 0 && c.PortMax == 0 {
		c.PortMin, c.PortMax = 20000, 32767
	}
	return c
}

// Validate returns every fault of the configuration as [pod.Faults], or nil.
func (c Config) Validate() error {
	var f fault.List
	if !pod.ValidName(c.Cluster.Name) {
		f.Add("cluster.name", "use 1 to 40 of a-z, 0-9 and -, a letter first", "%.80q is not a name", c.Cluster.Name)
	}
	if len(c.Cluster.ID) > 64 || !idRE.MatchString(c.Cluster.ID) {
		f.Add("cluster.id", "use 1 to 64 letters, digits, dashes and underscores", "%.80q is not an id", c.Cluster.ID)
	}
	if !filepath.IsAbs(c.Dir) {
		f.Add("dir", "use an absolute path", "%.80q is not one", c.Dir)
	}
	if len(c.Supervisor) == 0 {
		f.Add("supervisor", "set the argument vector that makes this program call process.Supervise", "is empty")
	} else if _, err := exec.LookPath(c.Supervisor[0]); err != nil {
		f.Add("supervisor[0]", "name a program", "%v", err)
	}
	if c.WorkDir != "" && !filepath.IsAbs(c.WorkDir) {
		f.Add("work_dir", "use an absolute path", "%.80q is not one", c.WorkDir)
	}
	if c.Capacity.CPU < 0 || c.Capacity.Memory < 0 {
		f.Add("capacity", "use amounts above 0, or leave them out", "is negative")
	}
	if (c.PortMin != 0 || c.PortMax != 0) && (c.PortMin < 1024 || c.PortMax > 65535 || c.PortMax < c.PortMin) {
		f.Add("port_min", "use 1024 to 65535, port_max not below port_min", "%d to %d is not a range of ports", c.PortMin, c.PortMax)
	}
	return f.Err()
}

// Runtime runs the nodes of one cluster as processes of this machine. It is a
// [pod.Runtime] with all extras.
type Runtime struct {
	cfg        Config
	supervisor string // path of Config.Supervisor[0]
	boot       string

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // calls of Watch

	mu       sync.Mutex
	closed   bool
	nodes    map[pod.NodeID]*known
	watchers map[chan struct{}]struct{} // told when this runtime started or stopped a node
	cpu      machine.CPU
}

var _ pod.Runtime = (*Runtime)(nil)

var errClosed = errors.New("process: runtime is closed")

// New returns a runtime. It starts nothing and makes Config.Dir.
func New(c Config) (*Runtime, error) {
	c = c.WithDefaults()
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("process runtime: %w", err)
	}
	supervisor, err := exec.LookPath(c.Supervisor[0])
	if err == nil {
		supervisor, err = filepath.Abs(supervisor)
	}
	if err != nil {
		return nil, fmt.Errorf("process runtime: supervisor: %w", err)
	}
	boot, err := bootID()
	if err != nil {
		return nil, fmt.Errorf("process runtime: %w", err)
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("process runtime: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Runtime{
		cfg: c, supervisor: supervisor, boot: boot, ctx: ctx, cancel: cancel,
		nodes: map[pod.NodeID]*known{}, watchers: map[chan struct{}]struct{}{},
	}, nil
}

// Extras implements [pod.Runtime].
func (r *Runtime) Extras() pod.Extras {
	return pod.Extras{Watcher: r, Preparer: r, Logger: r, Salvager: r}
}

// Close implements [pod.Runtime]. It ends every Watch.
func (r *Runtime) Close() error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	r.wg.Wait()
	return nil
}

// call runs f unless the runtime is closed or ctx has ended, and adds to its error
// what was done.
func call[T any](ctx context.Context, r *Runtime, what string, f func() (T, error)) (out T, err error) {
	switch {
	case r.ctx.Err() != nil:
		err = errClosed
	case ctx.Err() != nil:
		err = ctx.Err()
	default:
		out, err = f()
	}
	if err != nil {
		return *new(T), fmt.Errorf("%s: %w", what, err)
	}
	return out, nil
}

// changed wakes every Watch.
func (r *Runtime) changed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.watchers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}
