package docker

import (
	"sync"
	"time"

	"github.com/elastipod/elastipod/pod"
)

// What no container has used: a figure above is taken for none. They leave room
// to add a few up.
const (
	maxCPU    = 50 * 365 * 24 * time.Hour
	maxMemory = 1 << 60
)

// usageSource is where a running container's usage comes from, and what keeps
// its CPU time growing when the container was started again by somebody. The
// zero value has no source yet.
type usageSource struct {
	mu     sync.Mutex
	gone   bool // the container was removed
	files  *cgroupFiles
	stream *statsStream
	before time.Duration // CPU time of the container's former lives
	last   time.Duration
}

// close ends the source; the runtime waits for it in Close.
func (u *usageSource) close(gone bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.stream != nil {
		u.stream.cancel()
	}
	u.files, u.stream, u.gone = nil, nil, gone
}

// restart carries on with the CPU time so far.
func (u *usageSource) restart() {
	u.close(false)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.before += u.last
	u.last = 0
}

// usage returns what a running container has used, zero when not measured yet.
// It never waits: cgroup files where the engine is here, else the last of a
// stream of statistics that it sees to.
func (r *Runtime) usage(id string, k *known, f *facts) pod.Usage {
	s := k.usage
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return pod.Usage{}
	}
	var err error
	if f.here && s.files == nil && s.stream == nil {
		if s.files, err = r.cgroups.find(k.pid, id); err != nil {
			r.log.Debug("no cgroup files of a container; reading its statistics", "container", id, "error", err)
		}
	}
	var u pod.Usage
	if s.files != nil {
		if u, err = s.files.read(); err != nil {
			s.files = nil // the container ended, or moved; look again next time
		}
	} else {
		if s.stream == nil || s.stream.ended() {
			s.stream = r.streamStats(id, s.stream)
		}
		u = s.stream.latest()
	}
	if u.At.IsZero() {
		return u
	}
	if u.CPU < s.last {
		s.before += s.last
	}
	s.last = u.CPU
	u.CPU += s.before
	return u
}

// streamAge is how long a sample of a stream is believed; engines send one a
// second.
const streamAge = 5 * time.Second

// statsStream holds the newest sample of a container's stream of statistics.
type statsStream struct {
	cancel func()

	mu     sync.Mutex
	sample pod.Usage
	over   bool
	opened time.Time
}

func (s *statsStream) latest() pod.Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.sample.At) > streamAge {
		return pod.Usage{}
	}
	return s.sample
}

// ended says whether the stream is over and may be opened again.
func (s *statsStream) ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over && time.Since(s.opened) > time.Second
}
