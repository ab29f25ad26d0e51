//go:build !linux

package boltstore

// holder returns nothing: this system doesn't tell who holds a lock.
func holder(string) string { return "" }
