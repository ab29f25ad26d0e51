//go:build crashpoint

package crashpoint

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// hits counts how often the armed point was passed, since it was armed.
var hits struct {
	sync.Mutex
	armed string
	n     int
}

// Here is one of [Points]: when the test armed it, the process dies.
func Here(point string) {
	dir := os.Getenv(DirEnv)
	if dir == "" {
		return
	}
	text, err := os.ReadFile(filepath.Join(dir, armFile))
	if err != nil {
		return
	}
	armed := strings.TrimSpace(string(text))
	name, rest, _ := strings.Cut(armed, " ")
	at, err := strconv.Atoi(rest)
	if name != point || err != nil {
		return
	}
	hits.Lock() // and kept where the process dies
	if hits.armed != armed {
		hits.armed, hits.n = armed, 0
	}
	if hits.n++; hits.n < at {
		hits.Unlock()
		return
	}
	if f, err := os.OpenFile(filepath.Join(dir, diedFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err == nil {
		_, _ = f.WriteString(point + "\n")
	}
	_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	select {} // nothing comes after it
}

// Without says whether the test left out one of [CleanUps].
func Without(cleanUp string) bool {
	dir := os.Getenv(DirEnv)
	if dir == "" {
		return false
	}
	text, err := os.ReadFile(filepath.Join(dir, withoutFile))
	return err == nil && slices.Contains(strings.Fields(string(text)), cleanUp)
}
