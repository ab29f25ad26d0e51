package haproxy

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"time"
)

// Config says where a [Balancer] keeps its files and how its HAProxy runs.
type Config struct {
	// Dir is the directory for the configuration, the state and the output of
	// HAProxy; it is made if need be. One Balancer at a time uses it. Required.
	Dir string
	// SocketDir is the directory for unix sockets; its path may have at most 75
	// bytes. Empty: Dir where that is short enough, else a directory of the user
	// under the system's temporary directory, named by a hash of Dir.
	SocketDir string
	// Binary is HAProxy's program; default "haproxy", looked up in PATH.
	Binary string
	// MaxConn is the most connections that HAProxy holds at a time. 0: what the
	// limit of open files (ulimit -n) allows, at most 20,000. Many servers take
	// from what it allows.
	MaxConn int
	// Threads is how many threads HAProxy runs; 0: its own default, one per CPU.
	Threads int
	// SampleEvery bounds the cost of measuring response times: of a front that
	// gets more than 500 requests a second, one in this many is measured; above
	// this many times 500 a second, one in its square, and so on. Of others, all
	// are. Default 5; 1 measures all; at most 1000.
	SampleEvery int
	// HardStopAfter bounds how long requests that were in flight at a reload may
	// go on in HAProxy's old worker; default 30 minutes.
	HardStopAfter time.Duration
	// Logger gets what happens to HAProxy's process. Default: nothing is logged.
	Logger *slog.Logger

	timing timing
}

// startTimeout bounds how long a start or reload of HAProxy may take, once begun.
// A call's context does not shorten it, so that a reload is never left half done.
const startTimeout = 10 * time.Second

// timing is how long things may take; tests are less patient.
type timing struct {
	// await bounds for how long HAProxy is asked that does not answer before
	// something is done about it, and how long it may need to end.
	await time.Duration
	// ask is how long master and worker may take to answer before they are taken
	// for mute; old, how long an old worker may.
	ask, old time.Duration
	// idle is how long somebody may be connected to the stats socket and say
	// nothing before HAProxy hangs up.
	idle time.Duration
	// keep is how often the keeper looks where nothing calls it.
	keep time.Duration
}

func defaultTiming() timing {
	return timing{await: 2 * time.Second, ask: 4 * time.Second, old: 3 * time.Second, idle: 10 * time.Second, keep: time.Second}
}

// maxSocketDir leaves room for the longest socket name and for the suffix that
// HAProxy adds while it binds, within the 108 bytes that the system allows.
const maxSocketDir = 107 - len("/relay-00000000.sock.4194304.tmp")

func (c Config) withDefaults() (Config, error) {
	if c.Dir == "" {
		return c, errors.New("haproxy: Config.Dir is not set: name a directory for its state")
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return c, fmt.Errorf("haproxy: directory %s: %w", c.Dir, err)
	}
	c.Dir = dir
	if c.SocketDir == "" {
		if c.SocketDir = dir; len(dir) > maxSocketDir || !plainPath.MatchString(dir) {
			sum := sha256.Sum256([]byte(dir))
			c.SocketDir = filepath.Join(os.TempDir(), "elastipod-"+strconv.Itoa(os.Getuid())+"-"+hex.EncodeToString(sum[:6]))
		}
	}
	if c.SocketDir, err = filepath.Abs(c.SocketDir); err != nil {
		return c, fmt.Errorf("haproxy: socket directory: %w", err)
	}
	if len(c.SocketDir) > maxSocketDir {
		return c, fmt.Errorf("haproxy: socket directory %s: %d bytes are too long for unix sockets, use at most %d", c.SocketDir, len(c.SocketDir), maxSocketDir)
	}
	if !plainPath.MatchString(c.SocketDir) {
		return c, fmt.Errorf("haproxy: socket directory %q: use letters, digits and / . _ - only", c.SocketDir)
	}
	c.Binary = cmp.Or(c.Binary, "haproxy")
	path, err := exec.LookPath(c.Binary)
	if err != nil && c.Binary == "haproxy" {
		// Debian keeps it where ordinary users do not look.
		path, err = exec.LookPath("/usr/sbin/haproxy")
	}
	if err != nil {
		return c, fmt.Errorf("haproxy: program %s is missing; on Debian and Ubuntu install the package haproxy (2.6 or newer): %w", c.Binary, err)
	}
	if c.Binary, err = filepath.Abs(path); err != nil {
		return c, fmt.Errorf("haproxy: program %s: %w", path, err)
	}
	if c.MaxConn < 0 || c.Threads < 0 || c.SampleEvery < 0 || c.HardStopAfter < 0 {
		return c, errors.New("haproxy: MaxConn, Threads, SampleEvery and HardStopAfter are not negative")
	}
	fits := fittingMaxConn(1, 0)
	if c.MaxConn > fits {
		return c, fmt.Errorf("haproxy: MaxConn %d needs more open files than the limit allows; use at most %d, or raise ulimit -n", c.MaxConn, fits)
	}
	c.MaxConn = cmp.Or(c.MaxConn, min(fits, 20_000))
	c.SampleEvery = min(cmp.Or(c.SampleEvery, 5), 1000)
	c.HardStopAfter = cmp.Or(c.HardStopAfter, 30*time.Minute)
	if c.timing == (timing{}) {
		c.timing = defaultTiming()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// fittingMaxConn is how many connections the limit of open files allows beside
// fronts and servers: HAProxy needs two files for each, one or two for a
// server's checks, a few for a front's listeners, and some for itself. It
// refuses to start when they do not fit.
func fittingMaxConn(fronts, servers int) int {
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		lim.Max = 1024
	}
	files := int(min(lim.Max, 1<<20))
	return max((files-min(500, files/4)-8*fronts-2*servers)/2, 10)
}

// plainPath is what can stand in HAProxy's configuration as it is.
var plainPath = regexp.MustCompile(`^[A-Za-z0-9/._-]*$`)

// makeDirs makes the directories. That of the sockets must be ours alone:
// who may write to a socket may command HAProxy.
func (c Config) makeDirs() error {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return fmt.Errorf("haproxy: state directory: %w", err)
	}
	if err := os.MkdirAll(c.SocketDir, 0o700); err != nil {
		return fmt.Errorf("haproxy: socket directory: %w", err)
	}
	fi, err := os.Lstat(c.SocketDir)
	if err != nil {
		return fmt.Errorf("haproxy: socket directory: %w", err)
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !fi.IsDir() || (ok && int(st.Uid) != os.Geteuid()) {
		return fmt.Errorf("haproxy: socket directory %s is not a directory of this user: %w", c.SocketDir, fs.ErrPermission)
	}
	return nil
}
