package haproxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// running is a server as HAProxy says that it is.
type running struct {
	addr         string
	id, weight   int
	drain, maint bool
	down         bool
}

// The bits of srv_admin_state that matter here.
const (
	adminMaint = 0x01 | 0x02 | 0x04 | 0x20 | 0x40
	adminDrain = 0x08 | 0x10
)

// readServers asks for the servers of one front, or of all if it is empty.
func readServers(ctx context.Context, s *session, front string) (map[string]map[string]running, error) {
	out, err := s.run(ctx, strings.TrimSpace("show servers state "+front))
	if err != nil {
		return nil, err
	}
	return parseServers(out)
}

// parseServers reads the answer to "show servers state": a line with a version,
// one that names the columns, and one a server. What it does not understand is
// an error, so that nothing is taken for gone that is there.
func parseServers(out string) (map[string]map[string]running, error) {
	all := map[string]map[string]running{}
	var columns map[string]int
	for l := range strings.Lines(out) {
		l = strings.TrimSpace(l)
		if rest, ok := strings.CutPrefix(l, "# "); ok {
			columns = map[string]int{}
			for i, c := range strings.Fields(rest) {
				columns[c] = i
			}
			for _, need := range []string{"be_name", "srv_name", "srv_id", "srv_addr", "srv_port", "srv_uweight", "srv_admin_state", "srv_op_state"} {
				if _, ok := columns[need]; !ok {
					return nil, fmt.Errorf("haproxy: servers: no column %s in %.200q", need, l)
				}
			}
			continue
		}
		fields := strings.Fields(l)
		if len(fields) < 2 {
			continue // the version, or nothing
		}
		get := func(name string) string {
			if i, ok := columns[name]; ok && i < len(fields) {
				return fields[i]
			}
			return ""
		}
		num := func(name string) (int, error) {
			n, err := strconv.ParseUint(get(name), 10, 31)
			if err != nil {
				err = fmt.Errorf("haproxy: servers: %s in %.200q is no number", name, l)
			}
			return int(n), err
		}
		var r running
		id, err1 := num("srv_id")
		weight, err2 := num("srv_uweight")
		admin, err3 := num("srv_admin_state")
		op, err4 := num("srv_op_state")
		port, err5 := num("srv_port")
		if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
			return nil, err
		}
		r.id, r.weight = id, weight
		r.addr = canonical(net.JoinHostPort(get("srv_addr"), strconv.Itoa(port)))
		r.maint, r.drain, r.down = admin&adminMaint != 0, admin&adminDrain != 0, op == 0
		be := get("be_name")
		if all[be] == nil {
			all[be] = map[string]running{}
		}
		all[be][get("srv_name")] = r
	}
	if columns == nil {
		return nil, fmt.Errorf("haproxy: servers: %.200q is not understood", out)
	}
	return all, nil
}
