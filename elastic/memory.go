package elastic

import (
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// ErrMemory says that the bytes given to UnmarshalBinary are not the memory of
// such a policy: it was made with other settings, or the bytes were damaged.
// The policy is unchanged; go on without.
var ErrMemory = errors.New("elastic: not the memory of this policy")

// memoryVersion is the first byte of every memory.
const memoryVersion = 1

// The second byte says whose memory it is.
const (
	memoryClamp byte = iota + 1
	memoryCooldown
	memoryStabilize
	memoryStepLimit
)

// memoryWriter puts a policy's memory together.
type memoryWriter struct{ data []byte }

func newMemory(whose byte) *memoryWriter {
	return &memoryWriter{data: []byte{memoryVersion, whose}}
}

func (w *memoryWriter) int(x int64) { w.data = binary.AppendVarint(w.data, x) }

func (w *memoryWriter) bool(x bool) {
	if x {
		w.int(1)
	} else {
		w.int(0)
	}
}

// nested ends a memory with that of the wrapped policy.
func (w *memoryWriter) nested(p Policy) ([]byte, error) {
	m, ok := p.(encoding.BinaryMarshaler)
	if !ok {
		return w.data, nil
	}
	inner, err := m.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("elastic: memory of %T: %w", p, err)
	}
	return append(w.data, inner...), nil
}

// memoryReader takes a memory apart; after the first fault everything reads as 0.
type memoryReader struct {
	data   []byte
	failed bool
}

func readMemory(data []byte, whose byte) *memoryReader {
	if len(data) < 2 || data[0] != memoryVersion || data[1] != whose {
		return &memoryReader{failed: true}
	}
	return &memoryReader{data: data[2:]}
}

func (r *memoryReader) int() int64 {
	x, n := binary.Varint(r.data)
	if r.failed || n <= 0 {
		r.failed = true
		return 0
	}
	r.data = r.data[n:]
	return x
}

func (r *memoryReader) bool() bool { return r.int() != 0 }

// nested gives what is left to the wrapped policy, and returns [ErrMemory] when
// it doesn't fit or something was wrong before.
func (r *memoryReader) nested(p Policy) error {
	if r.failed {
		return ErrMemory
	}
	m, ok := p.(encoding.BinaryUnmarshaler)
	if !ok {
		if len(r.data) > 0 {
			return ErrMemory
		}
		return nil
	}
	if err := m.UnmarshalBinary(r.data); err != nil {
		return fmt.Errorf("elastic: memory of %T: %w", p, err)
	}
	return nil
}

// nanos returns a time as policies remember it: without the process's own
// monotonic clock, so that it means the same after a restart. Times outside of
// the years 1678 to 2262 wrap around, which policies take for a clock that was
// set.
func nanos(t time.Time) int64 { return t.UnixNano() }

// elapsed returns the seconds from then to now.
func elapsed(now, then int64) float64 { return time.Duration(now - then).Seconds() }

// changes watches how the wanted number really changes from one observation to
// the next, whoever changed it: a decision that the manager bounded, or that a
// person overrode, counts as what became of it.
type changes struct {
	seen      bool
	want      int   // of the last observation
	decided   int   // what was decided then
	decidedAt int64 // when
}

// observe returns by how much the wanted number changed since the last call,
// and when.
func (c *changes) observe(now int64, want int) (delta int, at int64) {
	at = now
	if c.seen {
		delta = want - c.want
		if want == c.decided && c.decidedAt <= now {
			at = c.decidedAt
		}
	}
	c.seen, c.want = true, want
	return delta, at
}

// decide remembers a decision.
func (c *changes) decide(now int64, want int) { c.decided, c.decidedAt = want, now }

func (c *changes) write(w *memoryWriter) {
	w.bool(c.seen)
	w.int(int64(c.want))
	w.int(int64(c.decided))
	w.int(c.decidedAt)
}

func (c *changes) read(r *memoryReader) {
	c.seen = r.bool()
	c.want = int(r.int())
	c.decided = int(r.int())
	c.decidedAt = r.int()
}
