package metrics

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const header = `{"format":"elastipod-samples","version":1,"pod":"web","tick":"1s"}` + "\n"

// record writes samples and returns the recording.
func record(t require.TestingT, samples ...Sample) string {
	var b bytes.Buffer
	w, err := NewWriter(&b, Header{Pod: "web", Tick: time.Second})
	require.NoError(t, err)
	for _, s := range samples {
		require.NoError(t, w.Write(s))
	}
	return b.String()
}

func readAll(text string) (*Reader, []Sample, error) {
	r, err := NewReader(strings.NewReader(text))
	if err != nil {
		return nil, nil, err
	}
	var all []Sample
	for s, err := range r.All() {
		if err != nil {
			return r, all, err
		}
		all = append(all, s)
	}
	return r, all, nil
}

func TestRecordingRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.Custom(func(t *rapid.T) Value {
			if rapid.Bool().Draw(t, "missing") {
				return Missing
			}
			return V(rapid.Float64Range(0, 1e12).Draw(t, "value"))
		})
		var samples []Sample
		now := start
		for range rapid.IntRange(0, 5).Draw(t, "n") {
			now = now.Add(time.Duration(rapid.Int64Range(0, 1e12).Draw(t, "gap")))
			samples = append(samples, Sample{
				At: now, Want: rapid.IntRange(0, 100).Draw(t, "want"), Nodes: Nodes{Online: rapid.IntRange(0, 100).Draw(t, "online")},
				CPU: value.Draw(t, "cpu"), InFlight: value.Draw(t, "in flight"), P99: value.Draw(t, "p99"),
			})
		}
		text := record(t, samples...)
		r, got, err := readAll(text)
		require.NoError(t, err)
		assert.Equal(t, Header{Pod: "web", Tick: time.Second}, r.Header())
		assert.Equal(t, samples, got)
		assert.False(t, r.Truncated())

		// Whatever a crash leaves, all complete lines are read.
		cut := rapid.IntRange(len(header), len(text)).Draw(t, "cut")
		r, got, err = readAll(text[:cut])
		require.NoError(t, err)
		complete := strings.Count(text[:cut], "\n") - 1
		assert.Len(t, got, complete)
		assert.Equal(t, !strings.HasSuffix(text[:cut], "\n"), r.Truncated())
	})
}

func TestRecordingAppends(t *testing.T) {
	b := bytes.NewBufferString(record(t, sampleAt(1)))
	w := AppendWriter(b, at(1))
	require.NoError(t, w.Write(sampleAt(2)))
	require.ErrorIs(t, w.Write(sampleAt(1)), ErrOrder)
	require.ErrorIs(t, w.Write(Sample{}), ErrOrder)
	_, all, err := readAll(b.String())
	require.NoError(t, err)
	assert.Equal(t, []int{1, 2}, wants(all))
}

func TestRecordingFaults(t *testing.T) {
	one := `{"at":"2026-11-01T12:00:00Z","want":1,"nodes":{"online":1},"cpu":0.5}` + "\n"
	earlier := `{"at":"2026-11-01T11:00:00Z","want":1}` + "\n"
	for _, c := range []struct {
		name, text string
		is         error
		says       string
	}{
		{"empty", "", ErrRecording, "line 1: the header is missing"},
		{"half a header", header[:20], ErrRecording, "line 1: the header is missing"},
		{"other file", "at,want\n", ErrRecording, "line 1: the header is not"},
		{"other format", `{"format":"x","version":1}` + "\n", ErrRecording, "line 1: the header is not"},
		{"later version", `{"format":"elastipod-samples","version":2,"new":true}` + "\n", ErrVersion, "version 2"},
		{"unknown in header", `{"format":"elastipod-samples","version":1,"pod":"web","tick":"1s","x":1}` + "\n", ErrRecording, `line 1: json: unknown field "x"`},
		{"tick without unit", `{"format":"elastipod-samples","version":1,"pod":"web","tick":"1"}` + "\n", ErrRecording, "is not a duration above 0"},
		{"tick of 0", `{"format":"elastipod-samples","version":1,"pod":"web","tick":"0s"}` + "\n", ErrRecording, "is not a duration above 0"},
		{"broken line", header + one + "{\"at\":\n" + one, ErrRecording, "line 3: it is not a complete JSON object"},
		{"two on a line", header + strings.TrimSpace(one) + one, ErrRecording, "line 2: something follows"},
		{"empty line", header + "\n", ErrRecording, "line 2: it is not a complete"},
		{"unknown field", header + `{"at":"2026-11-01T12:00:00Z","wnat":1}` + "\n", ErrRecording, `line 2: json: unknown field "wnat"`},
		{"no time", header + `{"want":1}` + "\n", ErrRecording, "line 2: the sample has no time"},
		{"negative count", header + `{"at":"2026-11-01T12:00:00Z","nodes":{"online":-1}}` + "\n", ErrRecording, "line 2: nodes.online: -1 is negative"},
		{"negative value", header + `{"at":"2026-11-01T12:00:00Z","cpu":-0.5}` + "\n", ErrRecording, "line 2: cpu: -0.5 is negative"},
		{"text for a value", header + `{"at":"2026-11-01T12:00:00Z","cpu":"0.5"}` + "\n", ErrRecording, "line 2: metrics: value"},
		{"backwards", header + one + earlier, ErrOrder, "line 3: 2026-11-01T11:00:00Z after"},
		{"endless line", header + strings.Repeat("x", 100_000) + "\n", ErrRecording, "line 2: it is longer than 65536 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, _, err := readAll(c.text)
			require.ErrorIs(t, err, c.is)
			require.ErrorContains(t, err, c.says)
			if r != nil {
				_, again := r.Read()
				assert.Equal(t, err, again, "the error stays")
			}
		})
	}
}

func TestRecordingInputOutputErrors(t *testing.T) {
	_, err := NewWriter(io.Discard, Header{Pod: "web"})
	require.ErrorContains(t, err, "not above 0")
	_, err = NewWriter(brokenWriter{}, Header{Pod: "web", Tick: time.Second})
	require.ErrorIs(t, err, io.ErrClosedPipe)
	require.ErrorIs(t, AppendWriter(brokenWriter{}, time.Time{}).Write(sampleAt(1)), io.ErrClosedPipe)

	boom := errors.New("boom")
	r, err := NewReader(io.MultiReader(strings.NewReader(header), iotest.ErrReader(boom)))
	require.NoError(t, err)
	_, err = r.Read()
	require.ErrorIs(t, err, boom)
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// Whatever is read without an error can be written and read again.
func FuzzReader(f *testing.F) {
	f.Add(record(f, sampleAt(1), Sample{At: at(2), CPU: V(0.5), P99: V(1e-9)}))
	f.Add(header + `{"at":"2026-11-01T12:00:00.000000001+02:00","cpu":1e308,"nodes":null}` + "\n" + `{"at"`)
	f.Add(`{"format":"elastipod-samples","version":2}` + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		r, all, err := readAll(text)
		if err != nil {
			return
		}
		var b bytes.Buffer
		w, err := NewWriter(&b, r.Header())
		require.NoError(t, err)
		for _, s := range all {
			require.NoError(t, w.Write(s))
		}
		again, same, err := readAll(b.String())
		require.NoError(t, err)
		assert.Equal(t, r.Header(), again.Header())
		require.Len(t, same, len(all))
		for i := range all {
			assert.True(t, all[i].At.Equal(same[i].At))
			all[i].At, same[i].At = time.Time{}, time.Time{}
			assert.Equal(t, all[i], same[i])
		}
	})
}
