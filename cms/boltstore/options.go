package boltstore

import "time"

// DefaultLockTimeout is how long [Open] waits for another process to let go of
// the file: enough for one that is just ending, short for a person who waits.
const DefaultLockTimeout = 300 * time.Millisecond

// Option changes how [Open] opens a store.
type Option func(*options)

type options struct {
	lockTimeout time.Duration
}

// WithLockTimeout makes [Open] wait this long for another process to let go of
// the file. Default [DefaultLockTimeout]; at least 1 ms.
func WithLockTimeout(d time.Duration) Option {
	return func(o *options) { o.lockTimeout = max(d, time.Millisecond) }
}
