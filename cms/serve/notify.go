package serve

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"github.com/elastipod/elastipod/cms"
)

// statusPeriod is the longest time between two looks at what the status says.
const statusPeriod = 2 * time.Second

// notifier tells systemd, or whoever speaks its protocol (sd_notify), how the
// server is. Where nobody listens it does nothing.
type notifier struct {
	send     func(state string) error
	watchdog time.Duration // a sign of life must come within it; 0: none is wanted
	log      *slog.Logger

	mu     sync.Mutex
	status string
	failed bool
}

// newNotifier reads from the environment what systemd left there; nil: nobody
// listens.
func newNotifier(log *slog.Logger, socket string) (*notifier, error) {
	if socket == "" {
		return nil, nil
	}
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return nil, fmt.Errorf("systemd's watchdog: %w; leave out WATCHDOG_USEC, or correct it", err)
	}
	return &notifier{watchdog: watchdog, log: log, send: func(state string) error {
		_, err := daemon.SdNotify(false, state)
		return err
	}}, nil
}

// tell sends lines such as READY=1.
func (n *notifier) tell(lines ...string) {
	if n == nil {
		return
	}
	err := n.send(strings.Join(lines, "\n"))
	n.mu.Lock()
	defer n.mu.Unlock()
	if err != nil && !n.failed {
		n.log.Warn("cannot tell systemd how the server is; see NotifyAccess of the unit", "error", err)
	}
	n.failed = err != nil
}

func (n *notifier) ready(status string) { n.tell(daemon.SdNotifyReady, n.line(status)) }

func (n *notifier) reloading() {
	n.tell(daemon.SdNotifyReloading, "MONOTONIC_USEC="+monotonicMicroseconds(), n.line("reading the configuration"))
}

// stopping says that the server ends, and how long that may take.
func (n *notifier) stopping(limit time.Duration) {
	n.tell(daemon.SdNotifyStopping, fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", (limit+time.Second).Microseconds()), n.line("stopping"))
}

// interval is the time within which a sign of life must come; 0: none is wanted.
func (n *notifier) interval() time.Duration {
	if n == nil {
		return 0
	}
	return n.watchdog
}

// line is a status line, which is remembered.
func (n *notifier) line(status string) string {
	if n == nil {
		return ""
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.status = status
	return "STATUS=" + status
}

func (n *notifier) says(status string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.status == status
}

// run keeps the status fresh and, as long as alive says so, sends signs of life,
// until ctx ends.
func (n *notifier) run(ctx context.Context, status func() string, alive func(time.Time) error) {
	if n == nil {
		return
	}
	period := statusPeriod
	if n.watchdog > 0 {
		period = min(period, n.watchdog/4)
	}
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	hung := false
	for {
		var lines []string
		if s := status(); !n.says(s) {
			lines = append(lines, n.line(s))
		}
		if n.watchdog > 0 {
			err := alive(time.Now())
			switch {
			case err == nil:
				lines = append(lines, daemon.SdNotifyWatchdog)
			case !hung:
				n.log.Error("no sign of life is sent to systemd, which ends the server unless this mends itself", "error", err)
			}
			hung = err != nil
		}
		if len(lines) > 0 {
			n.tell(lines...)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// statusLine says in a line how the cluster is.
func statusLine(pods []cms.PodStatus, hosts []cms.HostStatus) string {
	nodes, up, reachable, problems := 0, 0, 0, 0
	for _, p := range pods {
		nodes += len(p.Nodes)
		problems += len(p.Problems)
		up += p.Counts.Online
	}
	for _, h := range hosts {
		if h.Reachable {
			reachable++
		}
	}
	text := fmt.Sprintf("%s, %s (%d online), %s", count(len(pods), "pod"), count(nodes, "node"), up, count(len(hosts), "host"))
	if down := len(hosts) - reachable; down > 0 {
		text += fmt.Sprintf(" (%d unreachable)", down)
	}
	if problems > 0 {
		text += ", " + count(problems, "problem")
	}
	return text
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// monotonicMicroseconds is the time of the clock by which systemd tells which
// reload a message belongs to.
func monotonicMicroseconds() string {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) != nil {
		return "0" // never on Linux
	}
	return strconv.FormatInt(t.Nano()/int64(time.Microsecond), 10)
}
