package balancer_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/balancertest"
)

// The balancer of README.md.

// region: balancer

// files is a balancer for clients that choose a server themselves: it keeps the
// servers of each front as a JSON file, which clients read again when it changes.
// It sees no request, so its figures are 0.
type files struct {
	dir string

	mu     sync.Mutex
	closed bool
	fronts map[string]fileFront
}

// fileFront is what a front's file holds.
type fileFront struct {
	Front   balancer.Front
	Servers []balancer.Server
}

// openFiles finds the fronts and servers that are there, and starts nothing.
func openFiles(dir string) (*files, error) {
	b := &files{dir: dir, fronts: map[string]fileFront{}}
	names, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		var f fileFront
		text, err := os.ReadFile(name)
		if err == nil {
			err = json.Unmarshal(text, &f)
		}
		if err != nil {
			return nil, fmt.Errorf("files: open %s: %w", name, err)
		}
		b.fronts[f.Front.Name] = f
	}
	return b, nil
}

// end

// region: apply

// Apply implements [balancer.Balancer].
func (b *files) Apply(ctx context.Context, front string, want []balancer.Server) error {
	want = slices.Clone(want)
	for i := range want {
		want[i] = want[i].WithDefaults()
	}
	slices.SortFunc(want, func(x, y balancer.Server) int { return strings.Compare(x.Name, y.Name) })
	return b.change(ctx, "apply", front, func() error {
		if err := balancer.ValidateServers(want); err != nil {
			return err
		}
		f, ok := b.fronts[front]
		if !ok {
			return balancer.ErrNoFront
		}
		f.Servers = want
		return b.write(f)
	})
}

// change runs f unless the context has ended or the balancer is closed, and
// says of an error what was being done.
func (b *files) change(ctx context.Context, what, front string, f func() error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := ctx.Err()
	switch {
	case err != nil:
	case b.closed:
		err = balancer.ErrClosed
	default:
		err = f()
	}
	if err != nil {
		return fmt.Errorf("files: %s %s: %w", what, front, err)
	}
	return nil
}

// write replaces a front's file in one step: a reader sees the old one or the
// new one.
func (b *files) write(f fileFront) error {
	text, err := json.Marshal(f)
	if err != nil {
		return err
	}
	name := filepath.Join(b.dir, f.Front.Name+".json")
	if err := os.WriteFile(name+".new", text, 0o644); err != nil {
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	b.fronts[f.Front.Name] = f
	return nil
}

// end

// SetFront implements [balancer.Balancer].
func (b *files) SetFront(ctx context.Context, front balancer.Front) error {
	return b.change(ctx, "set front", front.Name, func() error {
		if err := front.Validate(); err != nil {
			return err
		}
		for name, other := range b.fronts {
			if name != front.Name && other.Front.Listen == front.Listen {
				return balancer.ErrAddressInUse
			}
		}
		f := b.fronts[front.Name]
		f.Front = front.WithDefaults()
		return b.write(f)
	})
}

// RemoveFront implements [balancer.Balancer].
func (b *files) RemoveFront(ctx context.Context, name string) error {
	return b.change(ctx, "remove front", name, func() error {
		if _, ok := b.fronts[name]; !ok {
			return nil
		}
		delete(b.fronts, name)
		return os.Remove(filepath.Join(b.dir, name+".json"))
	})
}

// Observe implements [balancer.Balancer].
func (b *files) Observe(ctx context.Context) (balancer.Stats, error) {
	var out balancer.Stats
	err := b.change(ctx, "observe", "", func() error {
		for _, name := range slices.Sorted(maps.Keys(b.fronts)) {
			f := b.fronts[name]
			front := balancer.FrontStats{Name: name, Listen: f.Front.Listen}
			for _, s := range f.Servers {
				front.Servers = append(front.Servers, balancer.ServerStats{Name: s.Name, Addr: s.Addr, State: s.State, Weight: s.Weight, Up: true})
			}
			out.Fronts = append(out.Fronts, front)
		}
		return nil
	})
	return out, err
}

// Close implements [balancer.Balancer].
func (b *files) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return nil
}

// region: test

func TestFiles(t *testing.T) {
	balancertest.Run(t, balancertest.Harness{
		Open: func(t *testing.T) balancer.Balancer {
			b, err := openFiles(t.TempDir())
			require.NoError(t, err)
			return b
		},
		// What outlives the value is found again by the next one.
		Reopen: func(t *testing.T, closed balancer.Balancer) balancer.Balancer {
			b, err := openFiles(closed.(*files).dir)
			require.NoError(t, err)
			return b
		},
	})
}

// end

func TestFilesRefusesADamagedFile(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "web.json"), []byte("{"), 0o600))
	_, err := openFiles(dir)
	assert.ErrorContains(t, err, "web.json")
}
