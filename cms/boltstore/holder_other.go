//go:build !linux

package boltstore

// locker returns nothing: this system doesn't tell who holds a lock.
func locker(string) (pid int, program string) { return 0, "" }
