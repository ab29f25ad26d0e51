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
// zero value has no source yet. Its fields are guarded by Runtime.mu.
type usageSource struct {
	files  *cgroupFiles
	stream *statsStream
	before time.Duration // CPU time of the container's former lives
	last   time.Duration
}

// close ends the source; the runtime waits for it in Close.
func (u *usageSource) close() {
	if u.stream != nil {
		u.stream.cancel()
	}
	u.files, u.stream = nil, nil
}

// restart carries on with the CPU time so far.
func (u *usageSource) restart() {
	u.close()
	u.before += u.last
	u.last = 0
}

// usage returns what a running container has used, zero when not measured yet.
// It never waits: cgroup files where the engine is here, else the last of a
// stream of statistics that it sees to.
func (r *Runtime) usage(id string, k *known, f *facts) pod.Usage {
	files, stream := k.usage.files, k.usage.stream
	if f.here && files == nil && stream == nil {
		found, err := r.cgroups.find(k.pid, id)
		if err != nil {
			r.log.Debug("no cgroup files of a container; reading its statistics", "container", id, "error", err)
		}
		files = found
	}
	var u pod.Usage
	if files != nil {
		read, err := files.read()
		if err == nil {
			u = read
		} else {
			files = nil // the container ended, or moved; look again next time
		}
	} else {
		if stream == nil || stream.ended() {
			stream = r.streamStats(id, stream)
		}
		u = stream.latest()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	stored := r.known[id]
	if stored == nil { // removed meanwhile
		if stream != nil {
			stream.cancel()
		}
		return pod.Usage{}
	}
	s := &stored.usage
	if s.stream != nil && s.stream != stream {
		if stream != nil {
			stream.cancel() // another observation was quicker
		}
		stream = s.stream
	}
	s.files, s.stream = files, stream
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
