package metrics

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestValue(t *testing.T) {
	for _, c := range []struct {
		v    Value
		ok   bool
		or   float64
		text string
		json string
	}{
		{Value{}, false, 7, "–", "null"},
		{Missing, false, 7, "–", "null"},
		{V(math.NaN()), false, 7, "–", "null"},
		{V(math.Inf(1)), false, 7, "–", "null"},
		{V(math.Inf(-1)), false, 7, "–", "null"},
		{V(0), true, 0, "0", "0"},
		{V(0.91234), true, 0.91234, "0.9123", "0.91234"},
		{V(-3), true, -3, "-3", "-3"},
	} {
		_, ok := c.v.Get()
		assert.Equal(t, c.ok, ok)
		assert.Equal(t, c.ok, c.v.OK())
		assert.InDelta(t, c.or, c.v.Or(7), 0)
		assert.Equal(t, c.text, c.v.String())
		written, err := json.Marshal(c.v)
		require.NoError(t, err)
		assert.Equal(t, c.json, string(written))
		back := V(99)
		require.NoError(t, json.Unmarshal(written, &back))
		assert.Equal(t, c.v, back)
	}
	var v Value
	require.ErrorContains(t, json.Unmarshal([]byte(`"0.5"`), &v), "metrics: value")
}
