package serve

import (
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// monotonicMicroseconds is the time of the clock by which systemd tells which
// reload a message belongs to.
func monotonicMicroseconds() string {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) != nil {
		return "0" // never on Linux
	}
	return strconv.FormatInt(t.Nano()/int64(time.Microsecond), 10)
}
