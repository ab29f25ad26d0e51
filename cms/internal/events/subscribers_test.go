package events

import (
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/reconcile"
)

// A thousand subscribers of whom none reads take little memory each, however
// much happens, and keep nobody waiting: they are dropped, and told so.
func TestThousandSubscribersThatNeverRead(t *testing.T) {
	const subscribers, buffer = 1000, 1024
	l := New(time.Now, errors.New("ended"))
	l.Reserve(1 << 40)
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	emit := func(n int) (worst time.Duration) {
		for range n {
			begun := time.Now()
			l.Emit(reconcile.Event{Type: reconcile.EventNodeOnline, Pod: "web", Node: "n1", Host: "local", Message: "node n1 is online"})
			worst = max(worst, time.Since(begun))
		}
		return worst
	}
	emit(Kept) // what is kept is there already
	alone := emit(buffer)
	before := heap()
	var all []*Subscription
	for range subscribers {
		all = append(all, l.Subscribe(l.nextID-1, buffer))
	}
	crowded := emit(buffer)
	each := (heap() - before) / subscribers
	t.Logf("%d bytes a subscriber with %d events unread; the worst event took %s, and %s without subscribers", each, buffer, crowded, alone)
	assert.Less(t, each, int64(16<<10), "bytes a subscriber")
	assert.Less(t, crowded, time.Second, "nobody is waited for")

	emit(1) // one more than any of them can hold
	l.mu.Lock()
	left := len(l.subs)
	l.mu.Unlock()
	assert.Zero(t, left, "all were dropped")
	for range buffer {
		e, err := all[0].Next(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "n1", e.Node)
	}
	_, err := all[0].Next(t.Context())
	assert.True(t, errors.Is(err, ErrLagged), "%v", err)
	runtime.KeepAlive(all)
}
