package elastic_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/elastic"
)

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// wish is a policy that wants what the test says.
type wish struct{ want int }

func (w *wish) Decide(o elastic.Observation) elastic.Decision {
	d := elastic.Decision{Want: o.Want}
	d.Add(elastic.Step{Rule: elastic.RuleNote, From: o.Want, To: w.want, Note: "wish"})
	return d
}

// beat is one tick of a script: at a second, what is wished; the number that a
// manager or a person has set before it, where that is not what was decided; and
// what is to come of it.
type beat struct {
	second float64
	wish   int
	set    int // 0: what was decided before
	want   int
	says   string // the last step, where not ""
}

// play runs a script that begins with start nodes.
func play(t *testing.T, p elastic.Policy, w *wish, start int, script []beat) {
	t.Helper()
	want := start
	for i, b := range script {
		if b.set != 0 {
			want = b.set
		}
		w.want = b.wish
		d := p.Decide(elastic.Observation{At: noon.Add(time.Duration(b.second * float64(time.Second))), Want: want, Online: want, Min: 1, Max: 10})
		require.Equal(t, b.want, d.Want, "beat %d: %s", i, d)
		if b.says != "" {
			require.Equal(t, b.says, d.Last().String(), "beat %d", i)
		}
		want = d.Want
	}
}

func TestClamp(t *testing.T) {
	w := &wish{}
	play(t, &elastic.Clamp{Policy: w}, w, 3, []beat{
		{0, 9, 0, 9, ""},
		{1, 11, 0, 10, "wanted 11, bounded to max 10"},
		{2, 0, 0, 1, "wanted 0, bounded to min 1"},
		{3, 1, 0, 1, "wish: stay at 1"},
	})
}

func TestCooldown(t *testing.T) {
	t.Run("down", func(t *testing.T) {
		w := &wish{}
		play(t, &elastic.Cooldown{Down: time.Minute, Policy: w}, w, 3, []beat{
			{0, 2, 0, 2, "wish: 3 → 2"}, // nothing is known to have changed before
			{1, 1, 0, 2, "scale-in held 1 s of 60 s cooldown: stay at 2"},
			{2, 5, 0, 5, "wish: 2 → 5"}, // there is no cooldown for adding
			{44.5, 1, 0, 5, "scale-in held 42 s of 60 s cooldown: stay at 5"},
			{61.9, 1, 0, 5, "scale-in held 59 s of 60 s cooldown: stay at 5"},
			{62, 1, 0, 1, "wish: 5 → 1"}, // to the second after the decision
		})
	})
	t.Run("up", func(t *testing.T) {
		w := &wish{}
		play(t, &elastic.Cooldown{Up: 10 * time.Second, Policy: w}, w, 3, []beat{
			{0, 4, 0, 4, ""},
			{1, 5, 0, 4, "scale-out held 1 s of 10 s cooldown: stay at 4"},
			{9, 3, 0, 3, "wish: 4 → 3"},
			{9.5, 4, 0, 3, "scale-out held 9 s of 10 s cooldown: stay at 3"},
			{10, 4, 0, 4, "wish: 3 → 4"}, // a removal in between does not delay
		})
	})
	t.Run("what others did counts", func(t *testing.T) {
		w := &wish{}
		play(t, &elastic.Cooldown{Down: 10 * time.Second, Policy: w}, w, 3, []beat{
			{0, 3, 0, 3, ""},
			{5, 3, 7, 7, "scale-in held 0 s of 10 s cooldown: stay at 7"}, // set by hand to 7
			{14.9, 3, 0, 7, ""},
			{15, 3, 0, 3, ""},
			{16, 9, 0, 9, ""},
			{18, 6, 6, 6, ""}, // bounded to 6 by the manager, as seen at 18
			{27.9, 5, 0, 6, "scale-in held 9 s of 10 s cooldown: stay at 6"},
			{28, 5, 0, 5, ""},
		})
	})
	t.Run("clocks", func(t *testing.T) {
		w := &wish{}
		play(t, &elastic.Cooldown{Down: 10 * time.Second, Policy: w}, w, 3, []beat{
			{0, 5, 0, 5, ""},
			{-3600, 1, 0, 5, "scale-in held 0 s of 10 s cooldown: stay at 5"},
			{-3591, 1, 0, 5, ""},
			{-3590, 1, 0, 1, ""}, // it lasts no longer than once more
			{-3589, 2, 0, 2, ""},
			{360000, 1, 0, 1, ""},
		})
	})
}

func TestStabilize(t *testing.T) {
	t.Run("down", func(t *testing.T) {
		w := &wish{}
		play(t, &elastic.Stabilize{Down: 10 * time.Second, Policy: w}, w, 5, []beat{
			{0, 2, 0, 5, "wanted 2, kept at 5: the highest wish of the last 10 s"}, // 5 is taken for the wish before
			{5, 4, 0, 5, ""},
			{9.9, 1, 0, 5, ""},
			{10, 1, 0, 4, "wanted 1, kept at 4: the highest wish of the last 10 s"},
			{14.9, 1, 0, 4, ""},
			{15, 1, 0, 1, "wish: 4 → 1"},
			{16, 8, 0, 8, "wish: 1 → 8"}, // adding is not delayed
			{17, 9, 0, 9, ""},
			{18, 1, 0, 9, ""},
			{26.9, 1, 0, 9, ""},
			{27, 1, 0, 1, ""},
		})
	})
	t.Run("up", func(t *testing.T) {
		w := &wish{}
		play(t, &elastic.Stabilize{Up: 3 * time.Second, Policy: w}, w, 2, []beat{
			{0, 9, 0, 2, "wanted 9, kept at 2: the lowest wish of the last 3 s"},
			{1, 4, 0, 2, ""},
			{2, 6, 0, 2, ""},
			{3, 8, 0, 4, "wanted 8, kept at 4: the lowest wish of the last 3 s"},
			{4, 8, 0, 6, ""},
			{5, 8, 0, 8, "wish: 6 → 8"},
			{6, 1, 0, 1, ""}, // removing is not delayed
		})
	})
	t.Run("never above or below what there is", func(t *testing.T) {
		w := &wish{}
		play(t, &elastic.Stabilize{Up: 10 * time.Second, Down: 10 * time.Second, Policy: w}, w, 5, []beat{
			{0, 9, 0, 5, ""},
			{1, 1, 0, 5, "wanted 1, kept at 5: the highest wish of the last 10 s"}, // 9 had been wished and never granted
			{2, 5, 3, 3, ""}, // set to 3 by hand, which is not a wish; 1 was the lowest
			{3, 3, 0, 3, "wish: stay at 3"},
		})
	})
	t.Run("clocks", func(t *testing.T) {
		w := &wish{}
		play(t, &elastic.Stabilize{Down: 10 * time.Second, Policy: w}, w, 5, []beat{
			{0, 5, 0, 5, ""},
			{-3600, 2, 0, 5, ""},
			{-3590.1, 2, 0, 5, ""},
			{-3590, 2, 0, 2, ""},
			{1e6, 1, 0, 1, ""},
		})
	})
	t.Run("many levels", func(t *testing.T) {
		// 200 falling levels are more than it can tell apart: it removes late,
		// and never early.
		w := &wish{}
		p := &elastic.Stabilize{Down: 300 * time.Second, Policy: w}
		want := 1000
		for i := range 800 {
			w.want = max(1000-i, 800)
			d := p.Decide(elastic.Observation{At: noon.Add(time.Duration(i) * time.Second), Want: want, Max: 1000})
			// The highest wish of the last 300 seconds.
			require.GreaterOrEqual(t, d.Want, max(1000-max(i-299, 0), 800), "second %d", i)
			want = d.Want
		}
		assert.Equal(t, 800, want)
	})
}

func TestStepLimit(t *testing.T) {
	t.Run("each decision", func(t *testing.T) {
		w := &wish{}
		play(t, &elastic.StepLimit{Up: 4, Down: 1, Policy: w}, w, 2, []beat{
			{0, 9, 0, 6, "wanted 9, at most 4 added at a time: 6"},
			{1, 9, 0, 9, "wish: 6 → 9"},
			{2, 1, 0, 8, "wanted 1, at most 1 removed at a time: 8"},
			{3, 7, 0, 7, ""},
		})
	})
	t.Run("no limit", func(t *testing.T) {
		w := &wish{}
		play(t, &elastic.StepLimit{Up: 1, Policy: w}, w, 9, []beat{{0, 1, 0, 1, ""}, {1, 9, 0, 2, ""}})
		play(t, &elastic.StepLimit{Down: 1, Policy: w}, w, 1, []beat{{0, 9, 0, 9, ""}, {1, 1, 0, 8, ""}})
	})
	t.Run("period", func(t *testing.T) {
		w := &wish{}
		play(t, &elastic.StepLimit{Up: 3, Down: 2, Period: 10 * time.Second, Policy: w}, w, 1, []beat{
			{0, 3, 0, 3, "wish: 1 → 3"},
			{1, 9, 0, 4, "wanted 9, at most 3 added in 10 s: 4"},
			{2, 9, 0, 4, "wanted 9, at most 3 added in 10 s: 4"},
			{9.9, 9, 0, 4, ""},
			{10, 9, 0, 6, ""},                                       // the first 2 are 10 s ago
			{11, 9, 0, 7, ""},                                       // and the third one
			{12, 1, 0, 5, "wanted 1, at most 2 removed in 10 s: 5"}, // down has its own account
			{13, 1, 0, 5, ""},
			{22, 1, 0, 3, ""},
		})
	})
	t.Run("what others did counts", func(t *testing.T) {
		w := &wish{}
		play(t, &elastic.StepLimit{Up: 3, Period: 10 * time.Second, Policy: w}, w, 1, []beat{
			{0, 1, 0, 1, ""},
			{5, 9, 3, 4, "wanted 9, at most 3 added in 10 s: 4"}, // set to 3 by hand
			{14.9, 9, 0, 4, ""},
			{15, 9, 0, 7, ""},
		})
	})
	t.Run("ticks further apart than the period", func(t *testing.T) {
		w := &wish{}
		play(t, &elastic.StepLimit{Up: 1, Period: 500 * time.Millisecond, Policy: w}, w, 1, []beat{{0, 9, 0, 2, ""}, {1, 9, 0, 3, ""}, {2, 9, 0, 4, ""}})
	})
	t.Run("clocks", func(t *testing.T) {
		w := &wish{}
		play(t, &elastic.StepLimit{Up: 1, Period: 10 * time.Second, Policy: w}, w, 1, []beat{
			{0, 9, 0, 2, ""},
			{-3600, 9, 0, 2, ""},
			{-3590.1, 9, 0, 2, ""},
			{-3590, 9, 0, 3, ""},
			{1e6, 9, 0, 4, ""},
		})
	})
}

func TestWrappersValidate(t *testing.T) {
	bad := elastic.Threshold{Lower: 2, Upper: 3}
	for _, c := range []struct {
		p    interface{ Validate() error }
		want []string
	}{
		{&elastic.Clamp{}, []string{"policy: is missing"}},
		{&elastic.Clamp{Policy: bad}, []string{"policy.lower", "policy.upper"}},
		{&elastic.Cooldown{Up: -1, Down: 25 * time.Hour, Policy: &elastic.Clamp{Policy: bad}}, []string{"up: -1ns is out of range", "down: 25h0m0s", "policy.policy.lower", "policy.policy.upper"}},
		{&elastic.Stabilize{Up: -1, Down: -1}, []string{"up", "down", "policy: is missing"}},
		{&elastic.StepLimit{Up: -1, Down: 1001, Period: -1, Policy: refusing{}}, []string{"up: -1", "down: 1001", "period", "policy: not today"}},
		{&elastic.Cooldown{Policy: &wish{}}, nil},
	} {
		err := c.p.Validate()
		if c.want == nil {
			require.NoError(t, err)
			continue
		}
		var faults elastic.Faults
		require.ErrorAs(t, err, &faults)
		require.Len(t, faults, len(c.want))
		for i, want := range c.want {
			assert.Contains(t, faults[i].String(), want)
		}
	}
}

// refusing is a policy whose Validate returns an error of its own.
type refusing struct{}

func (refusing) Decide(o elastic.Observation) elastic.Decision {
	return elastic.Hold(o.Want, elastic.RuleNote, "")
}
func (refusing) Validate() error { return errors.New("not today") }

func TestMemoryOfOtherSettingsIsRefused(t *testing.T) {
	threshold := elastic.Threshold{Lower: 0.3, Upper: 0.7}
	one := &elastic.Cooldown{Down: time.Minute, Policy: threshold}
	one.Decide(elastic.Observation{At: noon, Want: 1})
	one.Decide(elastic.Observation{At: noon.Add(time.Second), Want: 2})
	data, err := one.MarshalBinary()
	require.NoError(t, err)

	for name, other := range map[string]interface {
		UnmarshalBinary([]byte) error
		MarshalBinary() ([]byte, error)
	}{
		"another kind":    &elastic.Stabilize{Policy: threshold},
		"more inside":     &elastic.Cooldown{Policy: &elastic.Clamp{Policy: threshold}},
		"around another":  &elastic.Clamp{Policy: threshold},
		"around the same": &elastic.Clamp{Policy: one},
	} {
		before, err := other.MarshalBinary()
		require.NoError(t, err)
		require.ErrorIs(t, other.UnmarshalBinary(data), elastic.ErrMemory, name)
		after, err := other.MarshalBinary()
		require.NoError(t, err)
		assert.Equal(t, before, after, "%s: it is as it was", name)
	}
	nested := &elastic.Clamp{Policy: one}
	inside, err := nested.MarshalBinary()
	require.NoError(t, err)
	require.ErrorIs(t, one.UnmarshalBinary(inside), elastic.ErrMemory)
	require.ErrorIs(t, one.UnmarshalBinary(append(data, 1, 2, 3)), elastic.ErrMemory, "something follows")

	// Another threshold inside is another setting of the same shape.
	same := &elastic.Cooldown{Down: time.Second, Policy: elastic.Threshold{Lower: 0.1, Upper: 0.9}}
	require.NoError(t, same.UnmarshalBinary(data))
	again, err := same.MarshalBinary()
	require.NoError(t, err)
	assert.Equal(t, data, again)
}

func TestMarshalJSONNeedsAWireForm(t *testing.T) {
	_, err := json.Marshal(&elastic.Cooldown{Policy: &wish{}})
	require.ErrorContains(t, err, "*elastic_test.wish has no wire form")
	_, err = json.Marshal(&elastic.Clamp{Policy: &elastic.Clamp{}})
	require.Error(t, err)
}
