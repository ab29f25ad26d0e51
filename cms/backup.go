package cms

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/elastipod/elastipod/cms/internal/faults"
	"github.com/elastipod/elastipod/cms/reconcile"
)

// Restored is what a restore did, or would do.
type Restored struct {
	// Kept names the copy of the store as it was before; empty of a dry run.
	Kept string
	// EventID is the id of the last event that the backup may know of.
	EventID uint64
	// Hosts are those that were added, and Created, Updated and Deleted the pods,
	// each sorted by name. What is deleted is drained first, and takes its time.
	Hosts, Created, Updated, Deleted []string
	// Unchanged are the pods that were as in the backup already.
	Unchanged []string
	// Problems says in sentences what could not be done; the rest was.
	Problems []string
}

// RestoreOptions are how a restore is done.
type RestoreOptions struct {
	// AnyCluster allows a backup of another cluster.
	AnyCluster bool
	// DryRun changes nothing.
	DryRun bool
}

// Backup writes a consistent copy of the store. It returns [ErrConflict] where
// the store is no [Archiver].
func (m *Manager) Backup(ctx context.Context, w io.Writer) error {
	a, err := m.archiver()
	if err != nil {
		return err
	}
	return a.Backup(ctx, w)
}

func (m *Manager) archiver() (Archiver, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	a, ok := m.cfg.Store.(Archiver)
	if !ok {
		return nil, refuse(ErrConflict, "this store cannot be copied while it is in use")
	}
	return a, nil
}

// Restore makes the pods and hosts be as in a backup, while everything goes on:
// a pod that is in both is changed to what it was, as its update says; one that
// is only in the backup is created; one that is not in it is drained and deleted.
// Nodes are those that run, not those of the backup, and a pod that scales by
// itself keeps its number of nodes within the bounds of then. Hosts that are not
// in the backup stay. A copy of the store as it was is kept before.
//
// All of the backup is checked before anything is changed. It returns [Faults],
// [ErrStoreCorrupt], [ErrStoreVersion], or [ErrConflict] for a backup of another
// cluster. It may be called again with the same backup, and then does what is
// left to do. One restore runs at a time.
func (m *Manager) Restore(ctx context.Context, r io.Reader, o RestoreOptions) (Restored, error) {
	a, err := m.archiver()
	if err != nil {
		return Restored{}, err
	}
	select {
	case m.restoring <- struct{}{}:
		defer func() { <-m.restoring }()
	default:
		return Restored{}, refuse(ErrConflict, "a restore is under way")
	}
	state, err := a.ReadBackup(ctx, r)
	if err != nil {
		return Restored{}, err
	}
	if id := m.Cluster().ID; state.ClusterID != id && !o.AnyCluster {
		return Restored{}, refuse(ErrConflict, "the backup is of another cluster (id %s), this one has id %s; if that is meant, say so (any_cluster)", state.ClusterID, id)
	}
	plan, err := m.planRestore(state)
	if err != nil {
		return Restored{}, err
	}
	if o.DryRun {
		return *plan.Restored, nil
	}
	if plan.Kept, err = a.Keep(ctx, "before-restore-"+m.cfg.Wall().UTC().Format("20060102T150405Z")); err != nil {
		return Restored{}, err
	}
	m.carryOut(ctx, plan)
	m.events.Emit(Event{Type: EventStoreRestored, Message: plan.describe()})
	return *plan.Restored, nil
}

// describe says in a sentence what was done.
func (r *Restored) describe() string {
	text := fmt.Sprintf("a backup was restored: %d pods created, %d changed, %d deleted, %d as they were; before it: %s",
		len(r.Created), len(r.Updated), len(r.Deleted), len(r.Unchanged), r.Kept)
	if len(r.Problems) > 0 {
		text += "; not all could be done: " + strings.Join(r.Problems, "; ")
	}
	return text
}

// restorePlan is what is to be done for a backup.
type restorePlan struct {
	*Restored
	state  State
	ending []string // pods that are there and will be gone
}

// planRestore compares a backup with what is there, and checks all of it.
func (m *Manager) planRestore(state State) (restorePlan, error) {
	p := restorePlan{Restored: &Restored{EventID: state.EventID}, state: state}
	for _, h := range state.Hosts {
		if m.host(h.Host.Name) == nil && !h.Draining {
			p.Hosts = append(p.Hosts, h.Host.Name)
		}
	}
	var f Faults
	for i := range state.Pods {
		rec := &state.Pods[i]
		rec.Complete()
		f.NestErr("pods["+rec.Spec.Name+"]", rec.Spec.Validate())
		for _, h := range rec.Spec.Hosts {
			if m.host(h) == nil && !slices.Contains(p.Hosts, h) {
				f.Add("pods["+rec.Spec.Name+"].hosts", "add the host first", "there is no host %q", h)
			}
		}
		now, err := m.Pod(rec.Spec.Name)
		switch {
		case rec.Deleting && err != nil:
			continue // it is gone since
		case rec.Deleting:
			p.Deleted = append(p.Deleted, rec.Spec.Name)
		case err != nil:
			p.Created = append(p.Created, rec.Spec.Name)
		case now.State == PodDeleting:
			p.Created, p.ending = append(p.Created, rec.Spec.Name), append(p.ending, rec.Spec.Name)
		case now.Spec.Kind != rec.Spec.Kind:
			f.Add("pods["+rec.Spec.Name+"].kind", "delete the pod first", "cannot be changed from %s to %s", now.Spec.Kind, rec.Spec.Kind)
		case m.sameAs(now, rec):
			p.Unchanged = append(p.Unchanged, rec.Spec.Name)
		default:
			p.Updated = append(p.Updated, rec.Spec.Name)
		}
	}
	for _, now := range m.Pods() {
		if !slices.ContainsFunc(state.Pods, func(r PodRecord) bool { return r.Spec.Name == now.Spec.Name }) {
			p.Deleted = append(p.Deleted, now.Spec.Name)
		}
	}
	slices.Sort(p.Deleted)
	p.ending = append(p.ending, p.Deleted...)
	return p, f.Err()
}

// sameAs says whether a pod is as in its record, but for what changes by itself.
func (m *Manager) sameAs(now PodStatus, rec *PodRecord) bool {
	a, b := now.Elasticity, rec.Elasticity
	return now.State != PodDeleting && specText(now.Spec) == specText(rec.Spec) &&
		a.SameBounds(b) && a.SamePolicy(b) &&
		(now.State == PodPaused) == rec.Paused && now.Want == rec.WantedAfter(now.Want)
}

// carryOut does what is planned, as far as it can.
func (m *Manager) carryOut(ctx context.Context, p restorePlan) {
	failed := func(what, name string, err error) {
		if err != nil {
			p.Problems = append(p.Problems, fmt.Sprintf("%s %s: %s", what, name, faults.Of(err).Text))
		}
	}
	for _, h := range p.state.Hosts {
		var err error
		if now := m.host(h.Host.Name); slices.Contains(p.Hosts, h.Host.Name) {
			_, err = m.AddHost(ctx, h.Host)
		} else if now != nil && now.Record().Host.Cordoned != h.Host.Cordoned {
			_, err = m.CordonHost(ctx, h.Host.Name, h.Host.Cordoned)
		}
		failed("host", h.Host.Name, err)
	}
	for _, name := range p.Deleted {
		_, err := m.DeletePod(ctx, name)
		if errors.Is(err, ErrNotFound) {
			err = nil
		}
		failed("delete pod", name, err)
	}
	for i := range p.state.Pods {
		rec := &p.state.Pods[i]
		name := rec.Spec.Name
		made := slices.Contains(p.Created, name)
		if !made && !slices.Contains(p.Updated, name) {
			continue
		}
		failed("wait for", name, m.awaitEnds(ctx, rec.Spec, p.ending))
		failed("pod", name, m.restorePod(ctx, rec, made))
	}
}

// awaitEnds waits until pods that are being deleted have given back the name and
// what fronts of the spec need.
func (m *Manager) awaitEnds(ctx context.Context, spec PodSpec, ending []string) error {
	for _, name := range ending {
		now, err := m.Pod(name)
		if err != nil || name != spec.Name && !slices.ContainsFunc(now.Spec.Fronts, func(f Front) bool {
			return slices.ContainsFunc(spec.Fronts, func(s Front) bool { return s.Name == f.Name || s.Listen == f.Listen })
		}) {
			continue
		}
		if _, err := m.WaitPod(ctx, name, func(PodStatus) bool { return false }); !errors.Is(err, ErrNotFound) {
			return refuse(ErrConflict, "pod %s is still being deleted", name)
		}
	}
	return nil
}

// restorePod makes one pod be as in its record.
func (m *Manager) restorePod(ctx context.Context, rec *PodRecord, fresh bool) error {
	if fresh {
		if _, err := m.CreatePod(ctx, rec.Spec); err != nil && !errors.Is(err, ErrExists) {
			return err
		}
	} else {
		// First what the new spec may forbid.
		if _, err := m.command(ctx, rec.Spec.Name, reconcile.Command{Kind: reconcile.CommandFit, Record: rec}); err != nil {
			return err
		}
		if _, err := m.UpdatePod(ctx, rec.Spec); err != nil {
			return err
		}
	}
	_, err := m.command(ctx, rec.Spec.Name, reconcile.Command{Kind: reconcile.CommandRestore, Record: rec, Fresh: fresh})
	return err
}

// specText tells two complete specs apart.
func specText(s PodSpec) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings, numbers and maps of them always marshal
	}
	return string(text)
}
