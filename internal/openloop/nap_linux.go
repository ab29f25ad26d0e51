package openloop

import (
	"time"

	"golang.org/x/sys/unix"
)

// napFrom is below what a timer is too coarse: the runtime waits in whole
// milliseconds when it has nothing else to do.
const napFrom = 1500 * time.Microsecond

// nap blocks for a short time, to within some 60 µs.
func nap(d time.Duration) {
	t := unix.NsecToTimespec(d.Nanoseconds())
	_ = unix.Nanosleep(&t, nil) // woken by a signal: a little early is fine
}
