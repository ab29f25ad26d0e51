package elastic

import (
	"encoding/json"
	"fmt"
)

// mostMarks is how many numbers marks tell apart.
const mostMarks = 64

// marks are numbers that are not negative, each with the time that it is of, oldest
// first. Their size is fixed, so that policies allocate nothing.
type marks struct {
	n    int
	mark [mostMarks]mark
}

type mark struct {
	At int64
	N  int
}

// add appends a number. Where there is no room, the two oldest become one with the
// later of their times, and merge says which number.
func (m *marks) add(at int64, n int, merge func(older, newer int) int) {
	if m.n == mostMarks {
		m.mark[1].N = merge(m.mark[0].N, m.mark[1].N)
		copy(m.mark[:], m.mark[1:])
		m.n--
	}
	m.mark[m.n] = mark{at, n}
	m.n++
}

// expire drops what is length old or older, and moves what a clock that was set back
// has put in the future.
func (m *marks) expire(now, length int64) {
	kept := 0
	for _, x := range m.mark[:m.n] {
		x.At = min(x.At, now)
		if now-x.At < length {
			m.mark[kept] = x
			kept++
		}
	}
	m.n = kept
}

// MarshalJSON writes a list.
func (m marks) MarshalJSON() ([]byte, error) { return json.Marshal(m.mark[:m.n]) }

// UnmarshalJSON reads it.
func (m *marks) UnmarshalJSON(data []byte) error {
	var list []mark
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	if len(list) > mostMarks {
		return fmt.Errorf("%d are too many", len(list))
	}
	for _, x := range list {
		if x.N < 0 {
			return fmt.Errorf("%d is negative", x.N)
		}
	}
	m.n = copy(m.mark[:], list)
	return nil
}
