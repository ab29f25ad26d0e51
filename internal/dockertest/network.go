package dockertest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// network4 is the network of one engine: names and addresses follow from the
// number of its slot.
type network4 struct {
	slot   int
	remote bool
}

func (n network4) name() string   { return "epns" + strconv.Itoa(n.slot) }
func (n network4) bridge() string { return "epbr" + strconv.Itoa(n.slot) }
func (n network4) veth() string   { return "epve" + strconv.Itoa(n.slot) }

// prefixes of a slot: its bridge, its veth pair, and further networks.
func (n network4) bridgePrefix() string { return fmt.Sprintf("172.31.%d.", n.slot) }
func (n network4) vethPrefix() string   { return fmt.Sprintf("172.30.%d.", n.slot) }
func (n network4) poolPrefix() string   { return fmt.Sprintf("10.213.%d.", n.slot) }

func (n network4) mac() string { return fmt.Sprintf("02:42:ac:1f:%02x:01", n.slot) }

func (n network4) subnet() string { return n.bridgePrefix() + "0/24" }
func (n network4) pool() string   { return "base=" + n.poolPrefix() + "0/24,size=28" }

// addresses returns the host's address as dialled from here, and ours as
// dialled from the host.
func (n network4) addresses() (host, peer string) {
	if n.remote {
		return n.vethPrefix() + "2", n.vethPrefix() + "1"
	}
	return n.bridgePrefix() + "1", n.bridgePrefix() + "1"
}

// free says whether none of the slot's networks is in use on this machine.
func (n network4) free() (bool, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false, err
	}
	for _, used := range addrs {
		u, err := netip.ParsePrefix(used.String())
		if err != nil {
			continue
		}
		for _, prefix := range []string{n.bridgePrefix(), n.vethPrefix(), n.poolPrefix()} {
			if u.Addr().Is4() && netip.MustParsePrefix(prefix+"0/24").Contains(u.Addr()) {
				return false, nil
			}
		}
	}
	return true, nil
}

func (n network4) create(ctx context.Context) error {
	ip := []string{"ip"}
	if n.remote {
		host, peer := n.addresses()
		ip = append(ip, "-n", n.name())
		for _, argv := range [][]string{
			{"ip", "netns", "add", n.name()},
			{"ip", "link", "add", n.veth(), "type", "veth", "peer", "name", "eth0", "netns", n.name()},
			{"ip", "addr", "add", peer + "/30", "dev", n.veth()},
			{"ip", "link", "set", n.veth(), "up"},
			{"ip", "-n", n.name(), "addr", "add", host + "/30", "dev", "eth0"},
			{"ip", "-n", n.name(), "link", "set", "eth0", "up"},
			{"ip", "-n", n.name(), "link", "set", "lo", "up"},
			{"ip", "-n", n.name(), "route", "add", "default", "via", peer},
		} {
			if _, err := run(ctx, argv...); err != nil {
				return err
			}
		}
	}
	for _, args := range [][]string{
		// With an address of its own, as engines give those that they make: a bridge
		// without one has that of one of its ports, which changes when containers come
		// and go, and what is on its way then may be lost.
		{"link", "add", n.bridge(), "address", n.mac(), "type", "bridge"},
		{"addr", "add", n.bridgePrefix() + "1/24", "dev", n.bridge()},
		{"link", "set", n.bridge(), "up"},
	} {
		if _, err := run(ctx, append(ip[:len(ip):len(ip)], args...)...); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes whatever there is of the slot's network. A namespace takes its
// links and packet filters with it; in the machine's own they are removed one by
// one, and nobody else's.
func (n network4) remove(ctx context.Context) error {
	var errs []error
	if _, err := os.Stat("/run/netns/" + n.name()); err == nil {
		_, err := run(ctx, "ip", "netns", "del", n.name())
		errs = append(errs, err)
	}
	links, err := net.Interfaces()
	errs = append(errs, err)
	var gone []string
	for _, l := range links {
		if l.Name == n.bridge() || l.Name == n.veth() || n.owns(l) {
			gone = append(gone, l.Name)
			if _, err := run(ctx, "ip", "link", "del", l.Name); err != nil {
				// A veth goes by itself when its namespace does.
				if _, gone := net.InterfaceByName(l.Name); gone == nil {
					errs = append(errs, err)
				}
			}
		}
	}
	return errors.Join(append(errs, n.removeRules(ctx, gone))...)
}

// owns says whether a link is a bridge made from the slot's address pool.
func (n network4) owns(l net.Interface) bool {
	addrs, _ := l.Addrs()
	for _, a := range addrs {
		if strings.HasPrefix(a.String(), n.poolPrefix()) {
			return true
		}
	}
	return false
}

// removeRules deletes the packet filter's rules that name the slot's bridge, one
// of the links or an address of the slot.
func (n network4) removeRules(ctx context.Context, links []string) error {
	marks := []string{n.bridgePrefix(), n.poolPrefix()}
	words := append(links, n.bridge())
	var errs []error
	for _, table := range []string{"filter", "nat"} {
		out, err := run(ctx, "iptables", "-w", "-t", table, "-S")
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for rule := range strings.Lines(out) {
			fields := strings.Fields(rule)
			if len(fields) < 2 || fields[0] != "-A" || !mentions(fields, words, marks) {
				continue
			}
			_, err := run(ctx, append([]string{"iptables", "-w", "-t", table, "-D"}, fields[1:]...)...)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func mentions(fields, words, prefixes []string) bool {
	for _, f := range fields {
		for _, w := range words {
			if f == w {
				return true
			}
		}
		for _, p := range prefixes {
			if strings.HasPrefix(f, p) {
				return true
			}
		}
	}
	return false
}
