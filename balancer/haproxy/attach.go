package haproxy

import (
	"context"
	"fmt"

	"github.com/elastipod/elastipod/balancer"
)

// attach finds the HAProxy that was left running.
func (b *Balancer) attach(ctx context.Context) error {
	for _, f := range b.st.Current.Fronts {
		b.fronts[f.Name] = &front{Front: f, incarnation: b.incarnate(0), servers: map[string]server{}}
	}
	if !b.st.Master.alive() {
		p := b.cfg.findMaster()
		switch {
		case p.PID != 0:
			b.st.Master, b.st.Sockets = p, b.cfg.SocketDir
		case !b.cfg.listening(ctx, masterSocket):
			return nil // no master is worth waiting for
		}
	}
	// A manager that was killed in the middle of a reload leaves a master that
	// does not answer for a moment, and then workers that come and go.
	var found info
	var procs processes
	var servers map[string]map[string]running
	patient, cancel := context.WithTimeout(ctx, b.cfg.timing.await)
	defer cancel()
	err := poll(patient, func() (bool, error) {
		var err error
		found = info{}
		if procs, err = b.cfg.showProc(patient); err == nil {
			if servers, err = b.cfg.allServers(patient); err == nil {
				found, err = b.cfg.showInfo(patient)
			}
		}
		return err == nil || !b.st.Master.alive(), nil
	})
	if err != nil || found.pid == 0 || found.id != b.st.ID {
		return nil // none, or one that does not answer: the next change deals with it
	}
	b.st.Master = processOf(procs.master)
	if b.st.Master.PID == 0 {
		return fmt.Errorf("haproxy: the master process %d has just ended", procs.master)
	}
	b.workers[found.pid] = processOf(found.pid)
	b.wanted = true
	b.st.Sockets = b.cfg.SocketDir
	if b.st.Next != nil && b.st.Next.Number == found.number {
		b.st.Current = *b.st.Next
		b.fronts = map[string]*front{}
		for _, f := range b.st.Current.Fronts {
			b.fronts[f.Name] = &front{Front: f, incarnation: b.incarnate(0), servers: map[string]server{}}
		}
	}
	b.cfg.removeRelays(b.st.Current.Fronts)
	b.log.InfoContext(ctx, "haproxy: found again", "pid", procs.master, "configuration", found.number)
	b.adopt(servers)
	b.keepListeners(ctx)
	return b.cfg.saveState(b.st)
}

func (c Config) allServers(ctx context.Context) (map[string]map[string]running, error) {
	s, err := c.openSession(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	return readServers(ctx, s, "")
}

// adopt takes over the servers that HAProxy has.
func (b *Balancer) adopt(all map[string]map[string]running) {
	for name, fr := range b.fronts {
		for srv, r := range all[name] {
			a := server{
				Server:      balancer.Server{Name: srv, Addr: r.addr, Weight: r.weight, State: balancer.Ready},
				incarnation: b.incarnate(0), id: r.id,
			}
			if r.drain || r.maint || r.weight == 0 {
				a.State = balancer.Drain
			}
			a.Server = a.WithDefaults()
			fr.servers[srv] = a
		}
	}
}
