package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/elastipod/elastipod/cms/client"
	"github.com/elastipod/elastipod/cms/wire"
)

// finding is what one examination found out.
type finding struct {
	About  string `json:"about"`
	State  string `json:"state"` // "ok", "warning" or "wrong"
	Text   string `json:"finding"`
	Remedy string `json:"remedy,omitempty"`
}

// diagnosis is what doctor prints as JSON.
type diagnosis struct {
	Server   string    `json:"server"`
	Findings []finding `json:"findings"`
	Warnings int       `json:"warnings"`
	Wrong    int       `json:"wrong"`
}

func (d *diagnosis) ok(about, format string, args ...any) {
	d.Findings = append(d.Findings, finding{About: about, State: "ok", Text: oneLine(fmt.Sprintf(format, args...))})
}

func (d *diagnosis) warn(about, remedy, format string, args ...any) {
	d.Warnings++
	d.Findings = append(d.Findings, finding{about, "warning", oneLine(fmt.Sprintf(format, args...)), remedy})
}

func (d *diagnosis) wrong(about, remedy, format string, args ...any) {
	d.Wrong++
	d.Findings = append(d.Findings, finding{about, "wrong", oneLine(fmt.Sprintf(format, args...)), remedy})
}

func (a *app) doctorCommand() *cobra.Command {
	var engine, haproxy string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Find out what is wrong, and what to do about it",
		Long: `Examine the server (does it answer, is it ready, its version and clock, what it says is wrong), its hosts
(engine, cgroup version, addresses, disk), and, on the server's own machine, what runs there: the Docker
engine and what its flags live-restore and userland-proxy mean for nodes when it restarts, file limits,
HAProxy's version and features, the clock and the disk. Each finding comes with its remedy. It exits with
1 when something is wrong; a warning is something that works, but not as well as it could.`,
		Example: `  cloud doctor
  cloud doctor --engine unix:///run/user/1000/docker.sock
  cloud doctor -o json`,
		Args: names(),
	}
	cmd.Flags().StringVar(&engine, "engine", "", "socket of the Docker engine on this machine (default: those of the cluster's hosts, or unix:///var/run/docker.sock where that is)")
	cmd.Flags().StringVar(&haproxy, "haproxy", "haproxy", "HAProxy's program")
	cmd.RunE = a.does(func(ctx context.Context, c *client.Client, _ []string) error {
		if engine != "" && !strings.HasPrefix(engine, "unix:///") && !strings.HasPrefix(engine, "/") {
			return usagef("--engine %q is not a socket on this machine; use one such as unix:///var/run/docker.sock", engine)
		}
		d := &diagnosis{Server: a.server}
		hosts := a.examineServer(ctx, c, d)
		if here(a.server) || engine != "" {
			sockets := localEngines(hosts)
			if engine != "" {
				sockets = []string{strings.TrimPrefix(engine, "unix://")}
			}
			examineMachine(ctx, d, machineOptions{engines: sockets, haproxy: haproxy, server: a.server})
		}
		return a.printDiagnosis(d)
	})
	return cmd
}

// here says whether a server runs on this machine.
func here(server string) bool {
	u, err := url.Parse(server)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// localEngines returns the sockets of the engines of this machine that are hosts of
// the cluster, or else the usual one, where that is.
func localEngines(hosts []wire.Host) []string {
	var sockets []string
	for _, h := range hosts {
		socket, local := strings.CutPrefix(cmp.Or(h.Address, "unix://"+usualSocket), "unix://")
		if h.Runtime == "docker" && local && !slices.Contains(sockets, socket) {
			sockets = append(sockets, socket)
		}
	}
	if _, err := os.Stat(usualSocket); err == nil && len(sockets) == 0 {
		sockets = append(sockets, usualSocket)
	}
	return sockets
}

// maxSkew is how far clocks may be apart: the server tells whole seconds.
const maxSkew = 2 * time.Second

const seeTime = "keep both clocks right with a time service, such as chrony or systemd-timesyncd"

func (a *app) examineServer(ctx context.Context, c *client.Client, d *diagnosis) []wire.Host {
	began := time.Now()
	theirs, err := c.Clock(ctx)
	if err != nil {
		d.wrong("server", "start it, or name another with --server or CLOUD_SERVER", "%s", a.explain(err))
		return nil
	}
	d.ok("server", "%s answers, in %s", a.server, took(time.Since(began)))
	examineSkew(d, theirs.Sub(a.now()))
	if err := c.Ready(ctx); err != nil {
		d.wrong("server", "wait until it has read its store and found its nodes; if that does not end, look at its log", "%s", a.explain(err))
	}
	cluster, err := c.Cluster(ctx)
	if err != nil {
		remedy := "look at the server's log"
		if client.StatusOf(err) == 401 || client.StatusOf(err) == 403 {
			remedy = "set CLOUD_TOKEN, or use --token-file or a context"
		}
		d.wrong("access", remedy, "%s", a.explain(err))
		return nil
	}
	examineAccess(ctx, d, c)
	examineVersions(d, cluster.Version, ownVersion())
	for _, p := range cluster.Problems {
		d.wrong("cluster", `see "cloud events", and "cloud why" of the pod`, "%s", p)
	}
	if len(cluster.Problems) == 0 {
		d.ok("cluster", "%s: the server knows of no problem", plural(cluster.Pods, "pod"))
	}
	hosts, err := c.Hosts(ctx)
	if err != nil {
		d.wrong("hosts", "look at the server's log", "%s", a.explain(err))
	}
	if err == nil && len(hosts) == 0 {
		d.wrong("hosts", `add one with "cloud host add"`, "there is no host, so no node can run")
	}
	for _, h := range hosts {
		examineHost(d, h)
	}
	return hosts
}

func examineSkew(d *diagnosis, skew time.Duration) {
	if skew > maxSkew || skew < -maxSkew {
		d.warn("server clock", seeTime, "it is %s off from this machine's: ages and times that are shown are wrong by that", skew.Round(time.Second))
		return
	}
	d.ok("server clock", "it agrees with this machine's")
}

func examineVersions(d *diagnosis, server, own string) {
	if own != "dev" && server != own {
		d.warn("version", "use the same version of both", "the server is %s, this command %s", server, own)
		return
	}
	d.ok("version", "the server is %s, this command %s", server, own)
}

// examineAccess says what the token may do.
func examineAccess(ctx context.Context, d *diagnosis, c *client.Client) {
	w, err := c.WhoAmI(ctx)
	switch {
	case client.NotFound(err):
		return // an older server does not tell
	case err != nil:
		d.wrong("access", "look at the server's log", "the server does not say what you may do: %s", err)
	default:
		judgeAccess(d, c.Server(), w)
	}
}

func judgeAccess(d *diagnosis, server string, w wire.WhoAmI) {
	const about = "access"
	switch {
	case !w.SignIn && !here(server):
		d.warn(about, "give the server tokens (tokens in its configuration)", "the server asks for no token: whoever reaches it may change everything")
	case !w.SignIn:
		d.ok(about, "the server asks for no token, on this machine")
	case w.Role != "operator":
		d.warn(about, "use an operator's token to change things", "your token %q has the role %s: you may look, and change nothing", w.Name, w.Role)
	default:
		d.ok(about, "your token %q has the role %s", w.Name, w.Role)
	}
}

// Parts of a disk in use from which on it is nearly full, and full.
const (
	diskLow  = 0.85
	diskFull = 0.95
)

func examineHost(d *diagnosis, h wire.Host) {
	about := "host " + h.Name
	s := hostStatus(h)
	if !s.Reachable {
		d.wrong(about, `look whether its engine runs and its address is right; "cloud host rm" forgets it`, "it is not reachable: %s", s.Error)
		return
	}
	mode := h.AddressMode
	if mode == "" {
		mode = "auto"
	}
	d.ok(about, "%s, address mode %s, %s", s.Engine, mode, plural(s.Nodes, "node"))
	if strings.HasSuffix(s.Engine, "cgroup v1") {
		d.warn(about, "boot it with cgroup v2 (kernel parameter systemd.unified_cgroup_hierarchy=1)", "it uses cgroup v1, which newer engines and systems drop")
	}
	if h.Cordoned {
		d.warn(about, `let it take nodes again with "cloud host uncordon `+h.Name+`"`, "it is cordoned: it takes no new nodes")
	}
	if u := s.Used; u.Disk != nil && u.DiskTotal != nil && *u.DiskTotal > 0 {
		examineDisk(d, about, "docker system prune, or a larger disk", float64(*u.Disk)/float64(*u.DiskTotal))
	}
	if m := s.Capacity.Memory; m > 0 && float64(s.Reserved.Memory) > 0.95*float64(m) {
		d.warn(about, "add a host, or lower the memory limits of pods", "%s of %s memory is reserved: hardly another node fits", bytesText(float64(s.Reserved.Memory)), bytesText(float64(m)))
	}
}

func examineDisk(d *diagnosis, about, remedy string, used float64) {
	switch {
	case used >= diskFull:
		d.wrong(about, remedy, "its disk is %.0f%% full: images and output of nodes will not fit", used*100)
	case used >= diskLow:
		d.warn(about, remedy, "its disk is %.0f%% full", used*100)
	default:
		d.ok(about, "its disk is %.0f%% full", used*100)
	}
}

func (a *app) printDiagnosis(d *diagnosis) error {
	if a.json() {
		if err := a.printJSON(d); err != nil {
			return err
		}
	} else {
		marks := map[string]cell{"ok": {"ok", green}, "warning": {"warning", yellow}, "wrong": {"WRONG", red}}
		for _, f := range d.Findings {
			mark := marks[f.State]
			if _, err := fmt.Fprintf(a.out, "%s  %s: %s\n", a.out.paint(mark.colour, fmt.Sprintf("%-7s", mark.text)), printable(f.About), f.Text); err != nil {
				return err
			}
			if f.Remedy != "" {
				if err := a.line("         → %s", f.Remedy); err != nil {
					return err
				}
			}
		}
	}
	if d.Wrong > 0 {
		return errors.New(plural(d.Wrong, "thing") + map[bool]string{true: " is", false: " are"}[d.Wrong == 1] + " wrong; do what stands beside it")
	}
	if a.json() {
		return nil
	}
	return a.line("Nothing is wrong; %s.", plural(d.Warnings, "warning"))
}
