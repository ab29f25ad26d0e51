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
	if armed == recording {
		note(filepath.Join(dir, passedFile), point)
		return
	}
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
	note(filepath.Join(dir, diedFile), point)
	_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	select {} // nothing comes after it
}

// note adds a point to a file.
func note(file, point string) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	_, _ = f.WriteString(point + "\n")
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
