// Package images removes the images from hosts that nothing needs any more.
package images

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/elastipod/elastipod/cms/internal/watch"
	"github.com/elastipod/elastipod/pod"
)

const (
	// every is how often images that nothing needs are looked for.
	every = time.Hour
	// pause is how long after a rollout or the end of a pod, so that the images are
	// not in use any more, and several such are dealt with at once.
	pause = time.Minute
	// timeout bounds what is done on one host at a time.
	timeout = 5 * time.Minute
	// lastTimeout bounds it on a host that leaves the cluster.
	lastTimeout = time.Minute
)

// Config is what a [Collector] is made of.
type Config struct {
	Hosts func() []*watch.Host
	// Needed returns the names of the images that pods run, may go back to, or are
	// about to run.
	Needed func() []string
	// Edit changes, durably, the list of images that the cluster brought to a host.
	Edit func(host string, edit func([]pod.Image) []pod.Image) error
	// Removed is told of each image that was removed.
	Removed func(h *watch.Host, i pod.Image)
	Log     *slog.Logger
}

// Collector removes images that nothing needs.
type Collector struct {
	cfg      Config
	unneeded chan struct{} // told when images may have become so

	mu   sync.Mutex
	gone map[string]Count // by host
}

// Count counts images.
type Count struct {
	Images int   // how many
	Bytes  int64 // their sizes; the disk gains less where others share layers
}

// New returns a collector that does nothing yet.
func New(c Config) *Collector {
	return &Collector{cfg: c, unneeded: make(chan struct{}, 1), gone: map[string]Count{}}
}

// Soon makes images that may have become unneeded be looked for in a while. It
// does not block.
func (c *Collector) Soon() {
	select {
	case c.unneeded <- struct{}{}:
	default:
	}
}

// Run removes images that nothing needs any more, until ctx ends. Nothing waits
// for it.
func (c *Collector) Run(ctx context.Context) {
	timer := time.NewTimer(every)
	defer timer.Stop()
	soon := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.unneeded:
			if !soon {
				soon = true
				timer.Reset(pause)
			}
			continue
		case <-timer.C:
		}
		soon = false
		var hosts sync.WaitGroup
		for _, h := range c.cfg.Hosts() {
			hosts.Go(func() { c.collect(ctx, h) })
		}
		hosts.Wait()
		timer.Reset(every)
	}
}

func collector(h *watch.Host) pod.Collector {
	rt, err := h.Runtime()
	if err != nil {
		return nil
	}
	return rt.Extras().Collector
}

// collect removes images from a host that nothing needs any more.
func (c *Collector) collect(ctx context.Context, h *watch.Host) {
	port := collector(h)
	if port == nil {
		return
	}
	c.Note(h)
	images := h.Record().Images
	if v := h.View(); len(images) == 0 || v == nil || v.Err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	out, err := port.Collect(ctx, images, c.cfg.Needed())
	if err != nil && ctx.Err() == nil {
		c.cfg.Log.Warn("collect images", "host", h.Name, "error", err)
	}
	gone := c.collected(h, out)
	if len(gone) == 0 {
		return
	}
	if err := c.cfg.Edit(h.Name, func(have []pod.Image) []pod.Image {
		return slices.DeleteFunc(slices.Clone(have), func(i pod.Image) bool { return slices.Contains(gone, i) })
	}); err != nil {
		c.cfg.Log.Debug("forget images", "host", h.Name, "error", err) // the next round finds them gone
	}
}

// Last removes from a host that leaves the cluster what the cluster brought there,
// as far as that can be done at once: what is left then is somebody else's.
func (c *Collector) Last(ctx context.Context, h *watch.Host) {
	port := collector(h)
	if v := h.View(); port == nil || v == nil || v.Err != nil {
		return
	}
	images := h.Record().Images
	images = slices.Concat(images, slices.DeleteFunc(port.Fetched(), func(i pod.Image) bool { return slices.Contains(images, i) }))
	if len(images) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lastTimeout)
	defer cancel()
	out, err := port.Collect(ctx, images, nil)
	if err != nil {
		c.cfg.Log.Warn("collect images", "host", h.Name, "error", err)
	}
	c.collected(h, out)
}

// collected tells what became of images, and returns those that are gone.
func (c *Collector) collected(h *watch.Host, out []pod.Collected) (gone []pod.Image) {
	for _, o := range out {
		if o.Kept != "" {
			c.cfg.Log.Debug("an image stays", "host", h.Name, "image", o.Image.Name, "reason", o.Kept)
			continue
		}
		gone = append(gone, o.Image)
		if o.Removed {
			c.mu.Lock()
			n := c.gone[h.Name]
			n.Images++
			n.Bytes += o.Image.Size
			c.gone[h.Name] = n
			c.mu.Unlock()
			c.cfg.Removed(h, o.Image)
		}
	}
	return gone
}

// Collected returns what was removed from a host so far.
func (c *Collector) Collected(host string) Count {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gone[host]
}

// Note keeps what a runtime fetched, so that it can be removed some day also by a
// later manager. What cannot be saved is noted the next time.
func (c *Collector) Note(h *watch.Host) {
	port := collector(h)
	if port == nil {
		return
	}
	missing := func(have []pod.Image) []pod.Image {
		return slices.DeleteFunc(port.Fetched(), func(i pod.Image) bool { return slices.Contains(have, i) })
	}
	if len(missing(h.Record().Images)) == 0 {
		return
	}
	if err := c.cfg.Edit(h.Name, func(have []pod.Image) []pod.Image { return slices.Concat(have, missing(have)) }); err != nil {
		c.cfg.Log.Debug("note images", "host", h.Name, "error", err)
	}
}
