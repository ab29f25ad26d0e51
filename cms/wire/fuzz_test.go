package wire_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/wire"
)

// What a unit's parser takes is above 0, and is the same once written and read
// again.
func FuzzUnits(f *testing.F) {
	for _, s := range []string{"300MiB", "1GB", "1.5GiB", "0", "-1", "9223372036854775807", "999999999999TiB", "1e3", "30s", "1h2m", "1ns", "2562047h", "0.5", "1e-9", "NaN", "+1s", " 1", "1000", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if b, err := wire.ParseBytes(s); err == nil {
			require.Positive(t, int64(b))
			again(t, b)
		}
		if d, err := wire.ParseDuration(s); err == nil {
			require.Positive(t, int64(d))
			again(t, d)
		}
		if c, err := wire.ParseCores(s); err == nil {
			require.Greater(t, float64(c), 0.0)
			again(t, c)
		}
		if n, err := wire.ParseCount(s); err == nil {
			require.Positive(t, int64(n))
			again(t, n)
		}
	})
}

func again[T any](t *testing.T, v T) {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	var back T
	require.NoError(t, json.Unmarshal(text, &back), "%s", text)
	assert.Equal(t, v, back)
}
