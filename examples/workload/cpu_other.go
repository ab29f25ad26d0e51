//go:build !linux

package workload

import "time"

// threadTime returns the time of the clock: where a thread's own time cannot be
// read, time spent waiting for a core counts as used.
func threadTime() time.Duration { return time.Duration(time.Now().UnixNano()) }
