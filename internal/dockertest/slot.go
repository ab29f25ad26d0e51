package dockertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const slots = 120

// slot is a number that one engine of this machine holds at a time, whatever
// the process; its networks follow from it. The lock ends with the process, and
// its file names the directory of the engine, so that the next holder can remove
// what a killed process left.
type slot struct {
	number int
	file   *os.File
}

func slotDir() string { return "/tmp/elastipod-dockertest" }

// lockStarts waits until no other engine of this machine's own network is
// starting. The function lets the next one.
func lockStarts() (func(), error) {
	f, err := os.OpenFile(filepath.Join(slotDir(), "start"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// takeSlot takes a free slot, and removes what dead processes left in slots.
func takeSlot() (*slot, error) {
	if err := os.MkdirAll(slotDir(), 0o700); err != nil {
		return nil, err
	}
	var taken *slot
	for number := 1; number <= slots; number++ {
		path := filepath.Join(slotDir(), strconv.Itoa(number))
		if taken != nil {
			if info, err := os.Stat(path); err != nil || info.Size() == 0 {
				continue
			}
		}
		s, err := tryslot(path, number)
		if err != nil {
			return nil, err
		}
		if s == nil {
			continue
		}
		if err := s.reap(); err != nil {
			_ = s.file.Close()
			return nil, fmt.Errorf("remove what a killed test left in slot %d: %w", number, err)
		}
		free, err := network4{slot: number}.free()
		if err != nil {
			return nil, err
		}
		if taken == nil && free {
			taken = s
		} else {
			_ = s.file.Close()
		}
	}
	if taken == nil {
		return nil, errors.New("no free slot: too many engines run, or their networks are in use")
	}
	return taken, nil
}

// tryslot locks a slot; nil when another process holds it.
func tryslot(path string, number int) (*slot, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return &slot{number: number, file: f}, nil
	}
	_ = f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, nil
	}
	return nil, err
}

// record writes the engine's directory into the slot.
func (s *slot) record(dir string) error {
	_, err := s.file.WriteAt([]byte(dir), 0)
	return err
}

// reap removes what an earlier holder left.
func (s *slot) reap() error {
	dir, err := io.ReadAll(s.file)
	if err != nil || len(dir) == 0 {
		return err
	}
	if !strings.HasPrefix(string(dir), "/tmp/epd") {
		return fmt.Errorf("slot %d names %q, which is not an engine's directory", s.number, dir)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := cleanup(ctx, string(dir), s.number); err != nil {
		return err
	}
	return s.file.Truncate(0)
}

func (s *slot) release() error {
	return errors.Join(s.file.Truncate(0), s.file.Close())
}

// cleanup removes everything of an engine whose dockerd has ended or may be
// killed: processes, mounts, networks, files.
func cleanup(ctx context.Context, dir string, number int) error {
	var errs []error
	if dir != "" {
		errs = append(errs, endProcessesOf(dir), unmountBelow(dir))
	}
	errs = append(errs, network4{slot: number}.remove(ctx))
	if dir != "" {
		errs = append(errs, os.RemoveAll(dir))
	}
	return errors.Join(errs...)
}
