package haproxy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// foreignInfix is in the names under which configurations by others are kept.
const foreignInfix = ".foreign-"

// fileMark tells a file that was looked at from one that changed since.
type fileMark struct {
	size  int64
	mod   time.Time
	inode uint64
}

func sumOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// acceptFile is called once, before anything else looks at the configuration
// file: one that was written by us is known from now on, whether or not the sum
// of it could be saved.
func (b *Balancer) acceptFile() error {
	text, err := os.ReadFile(b.cfg.path(configFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("haproxy: configuration: %w", err)
	}
	ours := b.st.Written == "" && (len(b.st.Current.Fronts) == 0 || strings.Contains(string(text), "elastipod "+b.st.ID+" ")) ||
		b.st.Next != nil && strings.Contains(string(text), `"`+description(b.st.ID, b.st.Next.Number)+`"`)
	if ours {
		b.st.Written = sumOf(text)
	}
	if sumOf(text) == b.st.Written {
		return nil
	}
	// The library reads the file when it is opened, and must understand it.
	if err := b.setAside(text); err != nil {
		return err
	}
	b.reportFile(text)
	return nil
}

// isForeign says whether a configuration file with this text was not written by
// us.
func (b *Balancer) isForeign(text []byte) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.st.Written != "" && sumOf(text) != b.st.Written
}

// lookAtFile reports a configuration file that somebody else changed. The caller
// holds writing.
func (b *Balancer) lookAtFile() {
	path := b.cfg.path(configFile)
	fi, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if b.fresh() {
			return
		}
		if b.setProblem(problemFile, fmt.Sprintf("%s is gone; HAProxy runs on, and the next change of a front writes it again", path)) {
			b.log.Warn("haproxy: the configuration file is gone", "path", path)
			b.happened("somebody else removed %s", path)
		}
		return
	}
	if err != nil {
		return
	}
	mark := fileMark{size: fi.Size(), mod: fi.ModTime(), inode: inodeOf(fi)}
	if mark == b.file {
		return
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return
	}
	b.file = mark
	if !b.isForeign(text) {
		b.setProblem(problemFile, "")
		return
	}
	b.reportFile(text)
}

// fresh says that no configuration was ever written.
func (b *Balancer) fresh() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.st.Written == ""
}

func (b *Balancer) reportFile(text []byte) {
	path := b.cfg.path(configFile)
	if b.setProblem(problemFile, fmt.Sprintf(
		"%s was changed by somebody else (its SHA-256 begins with %.8s); HAProxy does not run that, and the next change of a front keeps it as %sTIME and writes the file again",
		path, sumOf(text), configFile+foreignInfix)) {
		b.log.Warn("haproxy: somebody else changed the configuration file", "path", path)
		b.happened("somebody else changed %s", path)
	}
}

// yieldFile puts a configuration file aside that somebody else changed, before
// it is written again. It returns the text of the configuration that runs, for
// the case that the next one does not. The caller holds writing.
func (b *Balancer) yieldFile() (text string, err error) {
	data, err := os.ReadFile(b.cfg.path(configFile))
	switch {
	case err == nil && !b.isForeign(data):
		return string(data), nil
	case err == nil:
		b.reportFile(data)
		err = b.setAside(data)
	case errors.Is(err, fs.ErrNotExist):
		err = b.conf.begin() // somebody removed it
	}
	if err != nil {
		return "", fmt.Errorf("configuration: %w", err)
	}
	b.mu.Lock()
	st := b.st
	b.mu.Unlock()
	return b.cfg.render(st.ID, st.Current, b.snapshot()), nil
}

// setAside keeps a copy of a configuration by somebody else, once.
func (b *Balancer) setAside(text []byte) error {
	path := b.cfg.path(configFile)
	kept, _ := filepath.Glob(path + foreignInfix + "*")
	for _, k := range kept {
		if old, err := os.ReadFile(k); err == nil && bytes.Equal(old, text) {
			return nil
		}
	}
	base := path + foreignInfix + time.Now().UTC().Format("20060102T150405Z")
	for i := 0; ; i++ {
		name := base
		if i > 0 {
			name = fmt.Sprintf("%s-%d", base, i)
		}
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) && i < 1000 {
			continue
		}
		if err == nil {
			_, err = f.Write(text)
			err = errors.Join(err, f.Sync(), f.Close())
			if err != nil {
				_ = os.Remove(name)
			}
		}
		if err != nil {
			return fmt.Errorf("somebody else changed %s, and a copy of it cannot be kept, so that it is not overwritten: %w", path, err)
		}
		b.log.Warn("haproxy: a configuration that somebody else changed was put aside", "file", name)
		b.happened("somebody else had changed %s; what was in it is kept as %s", path, filepath.Base(name))
		return nil
	}
}

// wroteFile notes that the configuration file is ours, and returns its sum.
func (b *Balancer) wroteFile() string {
	text, err := os.ReadFile(b.cfg.path(configFile))
	b.mu.Lock()
	if err == nil {
		b.st.Written = sumOf(text)
	}
	sum := b.st.Written
	b.mu.Unlock()
	b.file = fileMark{}
	b.setProblem(problemFile, "")
	return sum
}

func inodeOf(fi fs.FileInfo) uint64 {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	return st.Ino
}
