package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/haproxy"
	"github.com/elastipod/elastipod/balancer/inproc"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/boltstore"
	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/docker"
	"github.com/elastipod/elastipod/pod/process"
)

// Names in the data directory.
const (
	storeFile  = "elastipod.db"
	nodesDir   = "nodes"
	haproxyDir = "haproxy"
	nameFile   = "cluster"
	idFile     = "cluster-id"
	selfLink   = "bin/server"
)

// stack is the backends of a server.
type stack struct {
	settings
	log   *slog.Logger
	self  string         // this program
	link  string         // a path in the data directory that leads to it
	image *workloadImage // nil: this program has no workload

	store    *boltstore.Store
	balancer balancer.Balancer
	// endBalancer ends what of the balancer outlives this program; nil: nothing
	// does.
	endBalancer func(context.Context) error
}

// newStack opens the store and the balancer.
func newStack(s settings, p Program, log *slog.Logger) (_ *stack, err error) {
	st := &stack{settings: s, log: log}
	if st.self, err = os.Executable(); err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(s.data, filepath.Dir(selfLink)), 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w; choose another with --data", err)
	}
	if st.store, err = boltstore.Open(filepath.Join(s.data, storeFile)); err != nil {
		return nil, err
	}
	if err = st.name(); err == nil {
		err = st.identity()
	}
	if err == nil {
		err = st.open(p)
	}
	if err != nil {
		return nil, errors.Join(err, st.store.Close())
	}
	return st, nil
}

// name keeps the cluster's name in the data directory. Under another name the
// nodes that run would not be found again.
func (st *stack) name() error {
	file := filepath.Join(st.data, nameFile)
	data, err := os.ReadFile(file)
	switch kept := strings.TrimSpace(string(data)); {
	case errors.Is(err, fs.ErrNotExist), err == nil && kept == "":
		if st.cluster == "" {
			st.cluster = cms.DefaultName
		}
		return os.WriteFile(file, []byte(st.cluster+"\n"), 0o600)
	case err != nil:
		return err
	case st.cluster == "":
		st.cluster = kept
	case st.cluster != kept:
		return fmt.Errorf("the data in %s are those of cluster %q, not of %q; use that name, or another directory with --data", st.data, kept, st.cluster)
	}
	return nil
}

// identity refuses a store that is not the one of which the rest of the data
// directory is: HAProxy's fronts and the nodes are those of the other one, and
// would be taken away.
func (st *stack) identity() error {
	state, err := st.store.Load(context.Background())
	if err != nil {
		return err
	}
	kept, err := os.ReadFile(filepath.Join(st.data, idFile))
	id := strings.TrimSpace(string(kept))
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case id == "", id == state.ClusterID:
		return st.keepIdentity(state.ClusterID)
	case len(state.Pods) > 0:
		return fmt.Errorf("the store in %s is that of another cluster (id %s; the directory is of id %s): put the right one back, or use another directory with --data",
			st.data, state.ClusterID, id)
	case !st.takeOver:
		return fmt.Errorf("the store of cluster %s (id %s) is lost: the one in %s is empty; put a backup in its place, "+
			"or start once with --take-over, which goes on with the nodes that are there and rebuilds their pods", st.cluster, id, st.data)
	}
	return nil
}

// keepIdentity writes down of which store the data directory is.
func (st *stack) keepIdentity(id string) error {
	file := filepath.Join(st.data, idFile)
	if kept, err := os.ReadFile(file); err == nil && strings.TrimSpace(string(kept)) == id {
		return nil
	}
	if err := os.WriteFile(file+".new", []byte(id+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

func (st *stack) open(p Program) (err error) {
	// Pods that run this program name the link: it leads to the program also
	// when that was moved since.
	if st.link, err = relink(filepath.Join(st.data, selfLink), st.self); err != nil {
		return err
	}
	if p.Workload != nil {
		if st.image, err = newWorkloadImage(cmp.Or(st.workloadBinary, st.self)); err != nil {
			return err
		}
	}
	switch st.stack {
	case stackDocker:
		b, err := haproxy.New(haproxy.Config{
			Dir: filepath.Join(st.data, haproxyDir), SocketDir: st.haproxy.socketDir, Binary: st.haproxy.binary,
			MaxConn: st.haproxy.maxConn, Threads: st.haproxy.threads, SampleEvery: st.haproxy.sampleEvery,
			HardStopAfter: st.haproxy.hardStopAfter, Logger: st.log,
		})
		if err != nil {
			return err
		}
		st.balancer, st.endBalancer = b, b.Shutdown
	default:
		b, err := inproc.New(inproc.Config{CloseGrace: closeGrace})
		if err != nil {
			return err
		}
		st.balancer = b
	}
	return nil
}

// openRuntime opens the runtime of a host.
func (st *stack) openRuntime(_ context.Context, h pod.Host, c pod.Cluster) (pod.Runtime, error) {
	if err := checkRuntime(h); err != nil {
		return nil, err
	}
	if h.Runtime == runtimeDocker {
		rt, err := docker.New(docker.Config{Cluster: c, Host: h, Logger: st.log})
		if err != nil || st.image == nil {
			return rt, err
		}
		return st.image.on(rt, h), nil
	}
	return process.New(process.Config{
		Cluster: c, Dir: filepath.Join(st.data, nodesDir, h.Name), Supervisor: []string{st.self, cmdSupervise},
		WorkDir: st.process.workDir, Capacity: h.Capacity, PortMin: st.process.portMin, PortMax: st.process.portMax,
	})
}

// defaults are what "cloud init" creates with these settings.
func (st *stack) defaults(s settings) []cms.PodSpec {
	defaults := s.defaultPods
	if defaults == nil {
		defaults = st.builtinPods()
	}
	if s.freeFronts {
		for _, p := range defaults {
			for i := range p.Fronts {
				p.Fronts[i].Listen = freeOr(p.Fronts[i].Listen)
			}
		}
	}
	return defaults
}

// config is that of the manager.
func (st *stack) config(p Program) cms.Config {
	return cms.Config{
		Name: st.cluster, Store: st.store, Balancer: st.balancer, OpenRuntime: st.openRuntime,
		Hosts: st.hosts, DefaultPods: st.defaults(st.settings), Policies: p.Policies,
		Tick: st.tick, HostTimeout: st.hostTimeout, StartParallel: st.startParallel, KeepImages: st.keepImages, History: st.history,
		Logger: st.log, TakeOver: st.takeOver,
	}
}

// close releases the balancer and the store; with end it also ends what of the
// balancer outlives this program.
func (st *stack) close(ctx context.Context, end bool) error {
	var errs []error
	if end && st.endBalancer != nil {
		errs = append(errs, st.endBalancer(ctx))
	}
	return errors.Join(append(errs, st.balancer.Close(), st.store.Close())...)
}

// relink makes link lead to target, in one step.
func relink(link, target string) (string, error) {
	if old, err := os.Readlink(link); err == nil && old == target {
		return link, nil
	}
	next := link + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := os.Symlink(target, next); err != nil {
		return "", err
	}
	return link, os.Rename(next, link)
}
