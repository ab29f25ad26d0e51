package haproxy

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// info is what a worker says of itself.
type info struct {
	pid         int
	description string
	id          string // of the balancer
	number      int    // of the configuration
}

// showInfo asks the newest worker who it is.
func (c Config) showInfo(ctx context.Context) (info, error) {
	out, err := ask(ctx, c.socket(statsSocket), "show info")
	if err != nil {
		return info{}, err
	}
	i := parseInfo(out)
	if i.pid == 0 {
		return info{}, fmt.Errorf("%w: show info said %.100q", errNoAnswer, out)
	}
	return i, nil
}

// parseInfo reads the answer to "show info"; what is missing stays zero.
func parseInfo(out string) info {
	var i info
	for l := range strings.Lines(out) {
		k, v, ok := strings.Cut(strings.TrimSpace(l), ": ")
		switch {
		case !ok:
		case k == "Pid":
			i.pid, _ = strconv.Atoi(v)
		case k == "description":
			i.description = v
			if f := strings.Fields(v); len(f) == 3 && f[0] == "elastipod" {
				i.id = f[1]
				i.number, _ = strconv.Atoi(f[2])
			}
		}
	}
	return i
}

// processes are HAProxy's, as the master says.
type processes struct {
	master, reloads, failed int
	workers, old            []int
}

// showProc asks the master for its processes.
func (c Config) showProc(ctx context.Context) (processes, error) {
	out, err := c.master(ctx, "show proc")
	if err != nil {
		return processes{}, err
	}
	p := parseProc(out)
	if p.master == 0 {
		return p, fmt.Errorf("%w: show proc said %.100q", errNoAnswer, out)
	}
	return p, nil
}

// parseProc reads the answer to "show proc":
//
//	#<PID>  <type>  <reloads>      <uptime>     <version>
//	11      master  2 [failed: 0]  0d00h02m07s  2.6.12
//	# workers
//	33      worker  0              0d00h00m00s  2.6.12
//	# old workers
//	22      worker  1              0d00h00m43s  2.6.12
//	# programs
func parseProc(out string) processes {
	var p processes
	old := false
	for l := range strings.Lines(out) {
		l = strings.TrimSpace(l)
		if strings.HasPrefix(l, "#") {
			old = strings.HasPrefix(l, "# old workers")
			continue
		}
		f := strings.Fields(l)
		if len(f) < 3 {
			continue
		}
		pid, err := strconv.Atoi(f[0])
		if err != nil || pid <= 0 {
			continue
		}
		switch {
		case f[1] == "master":
			p.master = pid
			p.reloads, _ = strconv.Atoi(f[2])
			if _, rest, ok := strings.Cut(l, "[failed: "); ok {
				n, _, _ := strings.Cut(rest, "]")
				p.failed, _ = strconv.Atoi(n)
			}
		case f[1] == "worker" && old:
			p.old = append(p.old, pid)
		case f[1] == "worker":
			p.workers = append(p.workers, pid)
		}
	}
	return p
}
