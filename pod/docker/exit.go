package docker

import (
	"context"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/elastipod/elastipod/pod"
)

// exitOf tells how an inspected container ended, with its last output.
func (r *Runtime) exitOf(ctx context.Context, c container.InspectResponse) *pod.Exit {
	e := &pod.Exit{Code: c.State.ExitCode, OOMKilled: c.State.OOMKilled}
	if !e.OOMKilled && e.Code == killed {
		e.OOMKilled = r.outOfMemory(ctx, c.ID)
	}
	if at, err := time.Parse(time.RFC3339Nano, c.State.FinishedAt); err == nil && at.Year() > 1 {
		e.At = at
	}
	if c.State.Status == container.StateCreated {
		e.LastLog = []string{"was made but never started"}
		if c.State.Error != "" {
			e.LastLog = append(e.LastLog, c.State.Error)
		}
		return e
	}
	lines, err := r.readTail(ctx, c.ID, pod.LastLogLines)
	if err != nil {
		r.log.Debug("cannot read the last output of an ended node", "container", c.Name, "error", err)
	}
	e.LastLog = lines
	if len(lines) == 0 && c.State.Error != "" {
		e.LastLog = []string{c.State.Error}
	}
	return e
}

// killed is the exit code of a process that SIGKILL ended.
const killed = 137

// oomWait is how long an event of the kernel's is waited for that comes beside
// that of the death, and now and then after it.
const oomWait = 30 * time.Millisecond

// outOfMemory says whether an event told that the kernel killed something in the
// container for memory. With cgroup v1 engines learn of that beside the death,
// and what they say of the container depends on which was first.
func (r *Runtime) outOfMemory(ctx context.Context, id string) bool {
	for deadline := time.Now().Add(oomWait); ; {
		r.mu.Lock()
		seen := r.entry(id).oom
		r.mu.Unlock()
		if seen || time.Now().After(deadline) {
			return seen
		}
		select {
		case <-time.After(oomWait / 10):
		case <-ctx.Done():
			return false
		}
	}
}
