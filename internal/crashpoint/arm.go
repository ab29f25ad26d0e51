package crashpoint

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// DirEnv names the variable that gives a server the directory of its [Control].
const DirEnv = "ELASTIPOD_CRASHPOINT_DIR"

// The files of the directory through which a test and the server that it kills
// speak.
const (
	armFile     = "arm"     // a point and how often it is passed before the process dies
	diedFile    = "died"    // the points at which processes died, one on each line
	passedFile  = "passed"  // the points that were passed since they are recorded
	withoutFile = "without" // the clean-ups that are left out
)

// recording stands in armFile for a point, and kills nobody.
const recording = "*"

// Control is a test's side of the directory that is given to a server in the
// variable [DirEnv].
type Control struct{ Dir string }

// Arm makes the server die when it passes the point for the given time, counted
// from 1 and from now on.
func (c Control) Arm(point string, hit int) error {
	return c.write(armFile, point+" "+strconv.Itoa(hit))
}

// Disarm lets the server pass every point.
func (c Control) Disarm() error {
	if err := os.Remove(filepath.Join(c.Dir, armFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Record makes the server write down which points it passes from now on, instead
// of dying at one.
func (c Control) Record() error {
	if err := c.write(passedFile, ""); err != nil {
		return err
	}
	return c.write(armFile, recording)
}

// Passed returns the points that were passed since [Control.Record], in order.
func (c Control) Passed() ([]string, error) { return c.read(passedFile) }

// LeaveOut makes the server go without clean-ups, and with all others.
func (c Control) LeaveOut(cleanUps ...string) error {
	return c.write(withoutFile, strings.Join(cleanUps, " "))
}

// write replaces a file in one step: the server reads it at any time.
func (c Control) write(name, text string) error {
	path := filepath.Join(c.Dir, name)
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// Died returns the points at which servers died so far, in order.
func (c Control) Died() ([]string, error) { return c.read(diedFile) }

func (c Control) read(name string) ([]string, error) {
	text, err := os.ReadFile(filepath.Join(c.Dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return strings.Fields(string(text)), err
}
