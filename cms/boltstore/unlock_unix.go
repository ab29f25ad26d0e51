//go:build unix

package boltstore

import (
	"os"
	"syscall"
)

func unlock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
