package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"

	"github.com/elastipod/elastipod/internal/crashpoint"
	"github.com/elastipod/elastipod/pod"
)

// What a supervisor understands.
const (
	sigStop    = unix.SIGTERM // pass SIGTERM on to the node's process group
	sigKillAll = unix.SIGUSR1 // kill the node and every descendant
)

// stubborn is how long a supervisor may take to kill its node before it is
// killed itself.
const stubborn = 5 * time.Second

// Stop implements [pod.Runtime]. The node's process group gets SIGTERM; after
// grace the node and every descendant get SIGKILL.
func (r *Runtime) Stop(ctx context.Context, id pod.NodeID, grace time.Duration) ([]string, error) {
	defer r.changed()
	return call(ctx, r, "stop node "+id.String(), func() ([]string, error) { return r.stop(ctx, id, grace) })
}

func (r *Runtime) stop(ctx context.Context, id pod.NodeID, grace time.Duration) ([]string, error) {
	if !pod.ValidName(id.Pod) || !pod.ValidName(id.Name) {
		return nil, nil // no node has such a name
	}
	dir := r.nodeDir(id)
	if _, err := readState(dir); errors.Is(err, fs.ErrNotExist) && !exists(dir) {
		return nil, nil
	}
	release, err := r.lockNode(ctx, id)
	if err != nil {
		return nil, err
	}
	defer release()
	s, err := readState(dir)
	// Where no supervisor lives, what cannot be read stands for nothing that runs.
	if err != nil && !errors.Is(err, fs.ErrNotExist) && supervised(dir) {
		return nil, err
	}
	if err == nil && s.Boot == r.boot {
		if err := end(ctx, s, grace); err != nil {
			return nil, err
		}
		if after, err := readState(dir); err == nil {
			s = after
		}
	}
	crashpoint.Here("process-stop/ended")
	tail := tailLog(dir, pod.TailLines)
	if err := r.clear(ctx, dir, s); err != nil {
		return nil, err
	}
	crashpoint.Here("process-stop/cleared")
	r.mu.Lock()
	delete(r.nodes, id)
	r.mu.Unlock()
	return tail, nil
}

// end makes the supervisor end its node, or ends the supervisor.
func end(ctx context.Context, s nodeState, grace time.Duration) error {
	p, err := openProc(s.Supervisor)
	if errors.Is(err, errGone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer p.close()
	for _, step := range []struct {
		signal unix.Signal
		within time.Duration
	}{{sigStop, grace}, {sigKillAll, stubborn}, {unix.SIGKILL, stubborn}} {
		if step.within <= 0 {
			continue
		}
		if err := p.signal(step.signal); err != nil {
			if errors.Is(err, errGone) {
				return nil
			}
			return err
		}
		wait, cancel := context.WithTimeout(ctx, step.within)
		err := p.wait(wait)
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return fmt.Errorf("supervisor %d does not end", s.Supervisor.PID)
}
