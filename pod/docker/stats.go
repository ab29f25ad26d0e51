package docker

import (
	"context"
	"encoding/json"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/elastipod/elastipod/pod"
)

// streamStats opens a container's stream of statistics, in a goroutine that ends
// with the stream, its cancel or the runtime. A predecessor's last sample stays.
func (r *Runtime) streamStats(id string, before *statsStream) *statsStream {
	ctx, cancel := context.WithCancel(r.life)
	s := &statsStream{cancel: cancel, opened: time.Now()}
	if before != nil {
		s.sample = before.latest()
	}
	r.work.Go(func() {
		defer cancel()
		err := r.follow(ctx, id, s)
		s.mu.Lock()
		s.over = true
		s.mu.Unlock()
		if err != nil && ctx.Err() == nil {
			r.log.Debug("the statistics of a container ended", "container", id, "error", err)
		}
	})
	return s
}

func (r *Runtime) follow(ctx context.Context, id string, s *statsStream) error {
	answer, err := r.api.ContainerStats(ctx, id, true)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	decoder := json.NewDecoder(answer.Body)
	var clock clockOffset
	for {
		var sample container.StatsResponse
		if err := decoder.Decode(&sample); err != nil {
			return err
		}
		u, ok := usageOf(sample)
		if !ok {
			continue // the container is not running
		}
		u.At = clock.local(u.At, time.Now())
		s.mu.Lock()
		s.sample = u
		s.mu.Unlock()
	}
}

// usageOf reads a sample; At is by the engine's clock. It is not ok for a
// container that does not run, nor where a figure cannot be true.
func usageOf(s container.StatsResponse) (pod.Usage, bool) {
	cpu, memory := s.CPUStats.CPUUsage.TotalUsage, s.MemoryStats.Usage
	if s.Read.Year() <= 1 || cpu == 0 || cpu > uint64(maxCPU) || memory > maxMemory {
		return pod.Usage{}, false
	}
	inactive, ok := s.MemoryStats.Stats["total_inactive_file"] // cgroup v1
	if !ok {
		inactive = s.MemoryStats.Stats["inactive_file"] // cgroup v2
	}
	return pod.Usage{At: s.Read, CPU: time.Duration(cpu), Memory: int64(memory - min(memory, inactive))}, true
}

// clockOffset translates times of the engine's clock to ours. The quickest
// message of late tells the difference best; how long the others took does not
// blur the time between samples. Either clock may jump: ours is read by its
// monotonic part, and where the engine's goes back the count begins anew.
type clockOffset struct {
	engine, received time.Time // of the message from which the differences count
	last             time.Time // by the engine's clock
	least            time.Duration
}

// clockDrift is by how much the clocks may drift apart from one message to the
// next.
const clockDrift = time.Millisecond

func (c *clockOffset) local(engine, received time.Time) time.Time {
	if c.last.IsZero() || !engine.After(c.last) {
		*c = clockOffset{engine: engine, received: received}
	}
	c.last = engine
	took := received.Sub(c.received) - engine.Sub(c.engine)
	c.least = min(c.least+clockDrift, took)
	return received.Add(c.least - took)
}
