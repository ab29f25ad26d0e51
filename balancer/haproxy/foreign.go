package haproxy

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// ownMark begins a configuration that was written here. The SHA-256 of the rest
// follows it, so that a change by somebody else is noticed.
const ownMark = "# Written by elastipod; changes are undone. SHA-256 of the rest: "

// backupSuffix ends the name of the copy of what somebody else had written last.
const backupSuffix = ".bak"

func seal(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return []byte(ownMark + hex.EncodeToString(sum[:]) + "\n" + text)
}

func isOwn(text []byte) bool {
	_, rest, _ := strings.Cut(string(text), "\n")
	return string(text) == string(seal(rest))
}

// lookAtFile tells of a configuration file that somebody else changed.
func (b *Balancer) lookAtFile() {
	path := b.cfg.path(configFile)
	text, err := os.ReadFile(path)
	gone := errors.Is(err, fs.ErrNotExist)
	what := "was changed by somebody else"
	switch {
	case err == nil && isOwn(text), gone && b.state().Current.Number == 0:
		b.setProblem(problemFile, "")
		return
	case gone:
		what = "is gone"
	case err != nil:
		return
	}
	if b.setProblem(problemFile, fmt.Sprintf("%s %s; HAProxy runs on with what it had. The next change of a front keeps a copy as %s%s and writes the file again",
		path, what, configFile, backupSuffix)) {
		b.log.Warn("haproxy: the configuration file "+what, "path", path)
		b.happened("%s %s", path, what)
	}
}

// yieldFile keeps a copy of a configuration file that somebody else changed,
// before it is written again. It returns what is in the file, nil for none.
func (b *Balancer) yieldFile() ([]byte, error) {
	text, err := os.ReadFile(b.cfg.path(configFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && !isOwn(text) {
		b.lookAtFile()
		err = b.cfg.replaceFile(configFile+backupSuffix, text)
	}
	if err != nil {
		return nil, fmt.Errorf("configuration file, of which a copy must be kept if somebody else changed it: %w", err)
	}
	return text, nil
}

// restoreFile puts back what yieldFile returned.
func (c Config) restoreFile(text []byte) error {
	if text == nil {
		return os.Remove(c.path(configFile))
	}
	return c.replaceFile(configFile, text)
}
