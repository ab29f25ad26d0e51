package wire_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/elastipod/elastipod/cms/wire"
)

func TestParseBytes(t *testing.T) {
	for in, want := range map[string]int64{
		"300MiB": 300 << 20, "1GB": 1e9, "1.5GB": 15e8, "1.5 GiB": 3 << 29, "4096": 4096, "512B": 512, "7 kB": 7000, "7KB": 7000,
		"1KiB": 1024, "2TiB": 2 << 40, "1152921504606846976": 1 << 60,
	} {
		got, err := wire.ParseBytes(in)
		require.NoError(t, err, in)
		assert.Equal(t, want, int64(got), in)
	}
	for _, in := range []string{
		"", " ", "0", "0MiB", "-1", "-5MB", "300 parsecs", "300mib", "300m", "1G", "1e3", "0x10", "NaN", "Inf", "1.5", "1.5B",
		"1152921504606846977", "9999999999999999999", "999999999999999TiB", "1_000", "1,5GB", "MiB", "1 MiB ", "1  MiB",
	} {
		_, err := wire.ParseBytes(in)
		assert.ErrorContains(t, err, `use an amount above 0 such as "300MiB" or "1GB"`, in)
	}
}

func TestBytesWriteShortest(t *testing.T) {
	for want, in := range map[string]int64{
		`"300MiB"`: 300 << 20, `"1GB"`: 1e9, `"512MB"`: 512e6, `"1KiB"`: 1024, `1025`: 1025, `"1500MB"`: 15e8, `"1GiB"`: 1 << 30, `"1kB"`: 1000, `0`: 0,
	} {
		got, err := json.Marshal(wire.Bytes(in))
		require.NoError(t, err)
		assert.Equal(t, want, string(got))
	}
}

// Whatever a value type writes, it reads back equal, in JSON and in YAML.
func TestValuesReadWhatTheyWrite(t *testing.T) {
	t.Run("bytes", rapid.MakeCheck(func(t *rapid.T) {
		n := rapid.OneOf(
			rapid.Int64Range(1, 1<<60),
			rapid.Custom(func(t *rapid.T) int64 { return rapid.Int64Range(1, 1<<20).Draw(t, "MiB") << 20 }),
			rapid.Custom(func(t *rapid.T) int64 { return rapid.Int64Range(1, 1e9).Draw(t, "MB") * 1e6 }),
		).Draw(t, "bytes")
		same(t, wire.Bytes(n))
	}))
	t.Run("duration", rapid.MakeCheck(func(t *rapid.T) {
		same(t, wire.Duration(rapid.Int64Range(1, int64(1000*time.Hour)).Draw(t, "ns")))
	}))
	t.Run("whole seconds", rapid.MakeCheck(func(t *rapid.T) {
		same(t, wire.Duration(time.Duration(rapid.Int64Range(1, 1e6).Draw(t, "s"))*time.Second))
	}))
	t.Run("cores", rapid.MakeCheck(func(t *rapid.T) {
		same(t, wire.Cores(rapid.Float64Range(1e-3, 1e4).Draw(t, "cores")))
	}))
	t.Run("count", rapid.MakeCheck(func(t *rapid.T) {
		same(t, wire.Count(rapid.IntRange(1, 1<<40).Draw(t, "count")))
	}))
}

func same[T comparable](t *rapid.T, v T) {
	type holder struct {
		V T `json:"v"`
	}
	for name, codec := range map[string]struct {
		marshal   func(any) ([]byte, error)
		unmarshal func([]byte, any) error
	}{
		"json": {json.Marshal, json.Unmarshal},
		"yaml": {yaml.Marshal, func(data []byte, v any) error { return yaml.Unmarshal(data, v) }},
	} {
		data, err := codec.marshal(holder{v})
		require.NoError(t, err)
		var back holder
		require.NoError(t, codec.unmarshal(data, &back), "%s: %s", name, data)
		require.Equal(t, v, back.V, "%s: %s", name, data)
	}
}

func TestDurationText(t *testing.T) {
	for in, want := range map[time.Duration]string{
		time.Minute: "1m", time.Hour: "1h", 90 * time.Second: "1m30s", 30 * time.Second: "30s",
		200 * time.Millisecond: "200ms", time.Hour + time.Second: "1h0m1s", 10 * time.Minute: "10m", 100 * time.Hour: "100h",
	} {
		assert.Equal(t, want, wire.Duration(in).String())
	}
	assert.Equal(t, 1500*time.Millisecond, wire.SecondsOf(1500*time.Millisecond).Std())
}

// A zero that was written would be taken for the default: it is refused.
func TestWrittenZeroIsRefused(t *testing.T) {
	for _, in := range []string{`{"max_nodes":0}`, `{"drain":"0s"}`, `{"limits":{"cpu":0}}`, `{"limits":{"memory":0}}`, `{"limits":{"memory":"0MiB"}}`} {
		var p wire.Pod
		assert.ErrorContains(t, json.Unmarshal([]byte(in), &p), "; use a", in)
	}
	var p wire.Pod
	require.NoError(t, json.Unmarshal([]byte(`{"max_nodes":null,"drain":null,"limits":{"cpu":null,"memory":null}}`), &p), "null is left out")
	assert.Zero(t, p.MaxNodes)
}
