package process

import (
	"bytes"
	"context"
	"fmt"
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
	return call(ctx, r, "look for nodes of another manager", r.salvage)
}

func (r *Runtime) salvage() (out []pod.Salvaged, err error) {
	err = r.others(func(clusterID string, id pod.NodeID, dir string) error {
		s, err := readState(dir)
		switch {
		case stateless(dir, err):
			return nil // it did not come as far as to run
		case err != nil:
			return err
		case s.ID != id:
			return fmt.Errorf("%s names itself %s", dir, s.ID)
		}
		out = append(out, r.salvaged(clusterID, s))
		return nil
	})
	return out, err
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
