//go:build !linux

package serve

// monotonicMicroseconds is of use to systemd only.
func monotonicMicroseconds() string { return "0" }
