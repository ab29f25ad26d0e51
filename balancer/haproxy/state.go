package haproxy

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/elastipod/elastipod/balancer"
)

// state is what another Balancer on the same directory needs to know. Servers
// are not in it: HAProxy itself knows them.
type state struct {
	// ID is written into the configuration, and so told by an HAProxy that is
	// ours.
	ID string `json:"id"`
	// Current is the configuration that last came to run.
	Current revision `json:"current"`
	// Next is one that was about to run; after a crash HAProxy says which does.
	Next *revision `json:"next,omitempty"`
	// Sockets is the directory of the sockets of the running HAProxy.
	Sockets string `json:"sockets"`
	// Master is HAProxy's master process, as last seen.
	Master process `json:"master"`
}

// revision is one configuration. The number grows with each.
type revision struct {
	Number int              `json:"number"`
	Fronts []balancer.Front `json:"fronts"`
	// Respelled says which of two spellings of its path the stats socket has. A
	// worker that finds the other one makes the socket anew, instead of taking
	// over that of the worker before it.
	Respelled bool `json:"respelled,omitempty"`
}

func (c Config) path(name string) string   { return filepath.Join(c.Dir, name) }
func (c Config) socket(name string) string { return filepath.Join(c.SocketDir, name) }

func (c Config) loadState() (state, error) {
	var st state
	data, err := os.ReadFile(c.path("state.json"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		var id [8]byte
		_, _ = rand.Read(id[:])
		st.ID = hex.EncodeToString(id[:])
		return st, c.saveState(st)
	case err != nil:
		return st, fmt.Errorf("haproxy: read state: %w", err)
	}
	if err := json.Unmarshal(data, &st); err != nil {
		return st, fmt.Errorf("haproxy: state %s is damaged: %w", c.path("state.json"), err)
	}
	if st.ID == "" {
		return st, fmt.Errorf("haproxy: state %s is damaged: no id", c.path("state.json"))
	}
	return st, nil
}

// saveState replaces the state in one step.
func (c Config) saveState(st state) error {
	data, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return fmt.Errorf("haproxy: encode state: %w", err)
	}
	if err := c.replaceFile("state.json", append(data, '\n')); err != nil {
		return fmt.Errorf("haproxy: write state: %w", err)
	}
	return nil
}

// replaceFile writes a file of the directory in one step.
func (c Config) replaceFile(name string, data []byte) error {
	next := c.path(name + ".new")
	f, err := os.OpenFile(next, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(next, c.path(name))
	}
	if err != nil {
		_ = os.Remove(next)
	}
	return err
}

// lockDir keeps other Balancers off the directory until the file is closed.
func (c Config) lockDir() (*os.File, error) {
	f, err := os.OpenFile(c.path("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("haproxy: lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("haproxy: directory %s is in use by another balancer, perhaps of another running program", c.Dir)
		}
		return nil, fmt.Errorf("haproxy: lock %s: %w", c.Dir, err)
	}
	return f, nil
}

// unlockDir lets others have the directory at once. Closing the file alone would
// not: a process that this program starts at the same moment has it open too,
// until it executes its own program.
func unlockDir(f *os.File) error {
	return errors.Join(unix.Flock(int(f.Fd()), unix.LOCK_UN), f.Close())
}
