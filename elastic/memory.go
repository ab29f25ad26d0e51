package elastic

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// ErrMemory says that the bytes given to UnmarshalBinary are not the memory of
// such a policy: it was made with other settings, or the bytes were damaged.
// The policy is unchanged; go on without.
var ErrMemory = errors.New("elastic: not the memory of this policy")

// memoryVersion is the version of what saveMemory writes.
const memoryVersion = 2

// saved is the memory of a policy of a kind, with that of the policy that it wraps.
type saved[M any] struct {
	Version int
	Kind    string
	Memory  M
	Policy  []byte `json:",omitempty"`
}

// saveMemory returns the memory of a policy around p.
func saveMemory[M any](kind string, memory M, p Policy) ([]byte, error) {
	s := saved[M]{Version: memoryVersion, Kind: kind, Memory: memory}
	if inner, ok := p.(encoding.BinaryMarshaler); ok {
		var err error
		if s.Policy, err = inner.MarshalBinary(); err != nil {
			return nil, fmt.Errorf("elastic: memory of %T: %w", p, err)
		}
	}
	return json.Marshal(s)
}

// loadMemory takes back what saveMemory returned, that of p included, or returns
// [ErrMemory] and changes nothing.
func loadMemory[M any](data []byte, kind string, memory *M, p Policy) error {
	var s saved[M]
	if err := json.Unmarshal(data, &s); err != nil || s.Version != memoryVersion || s.Kind != kind {
		return ErrMemory
	}
	inner, ok := p.(encoding.BinaryUnmarshaler)
	if !ok && len(s.Policy) > 0 {
		return ErrMemory
	}
	if ok {
		if err := inner.UnmarshalBinary(s.Policy); err != nil {
			return fmt.Errorf("elastic: memory of %T: %w", p, err)
		}
	}
	*memory = s.Memory
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
	Seen      bool
	Want      int   // of the last observation
	Decided   int   // what was decided then
	DecidedAt int64 // when
}

// observe returns by how much the wanted number changed since the last call,
// and when.
func (c *changes) observe(now int64, want int) (delta int, at int64) {
	at = now
	if c.Seen {
		delta = want - c.Want
		if want == c.Decided && c.DecidedAt <= now {
			at = c.DecidedAt
		}
	}
	c.Seen, c.Want = true, want
	return delta, at
}

// decide remembers a decision.
func (c *changes) decide(now int64, want int) { c.Decided, c.DecidedAt = want, now }
