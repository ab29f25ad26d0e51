package metrics

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"
)

// A recording is text: one JSON object a line, a [Header] first and then one
// [Sample] each, in the order of time. It can be appended to, cut and searched
// with the usual tools, and what a crash left of its last line doesn't spoil it.

// RecordingVersion is the version of the format that is written here.
const RecordingVersion = 1

// recordingFormat tells a recording from other files.
const recordingFormat = "elastipod-samples"

// maxLine bounds the length of a line in bytes; a sample takes about 300.
const maxLine = 64 << 10

// Errors of recordings, wrapped with the number of the line.
var (
	// ErrRecording says that something is not a recording, or is damaged.
	ErrRecording = errors.New("metrics: not a recording")
	// ErrVersion says that a later version wrote the recording.
	ErrVersion = errors.New("metrics: recording of a later version")
	// ErrOrder says that a sample is older than the one before it.
	ErrOrder = errors.New("metrics: sample out of order")
)

// Header is the first line of a recording.
type Header struct {
	// Pod is the name of the pod that was measured.
	Pod string
	// Tick is the time that was meant to lie between two samples, above 0.
	Tick time.Duration
}

type wireHeader struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
	Pod     string `json:"pod"`
	Tick    string `json:"tick"`
}

// Writer writes a recording. It is for one goroutine.
type Writer struct {
	w    io.Writer
	last time.Time
}

// NewWriter writes the header to w and returns a Writer for samples. Each line
// is one call of w.Write, so that w need not be flushed: give it a file, or a
// buffer of yours that you flush.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	if h.Tick <= 0 {
		return nil, fmt.Errorf("metrics: write recording of %q: its tick of %s is not above 0", h.Pod, h.Tick)
	}
	err := writeLine(w, wireHeader{Format: recordingFormat, Version: RecordingVersion, Pod: h.Pod, Tick: h.Tick.String()})
	if err != nil {
		return nil, err
	}
	return &Writer{w: w}, nil
}

// AppendWriter returns a Writer that goes on with a recording whose last sample
// was taken at last; w must be at its end, behind a complete line.
func AppendWriter(w io.Writer, last time.Time) *Writer { return &Writer{w: w, last: last} }

// Write appends a sample. It returns [ErrOrder] for one that is older than the
// one before or has no time, and writes nothing then.
func (w *Writer) Write(s Sample) error {
	if s.At.IsZero() || s.At.Before(w.last) {
		return fmt.Errorf("%w: %s after %s", ErrOrder, s.At.Format(time.RFC3339Nano), w.last.Format(time.RFC3339Nano))
	}
	if err := writeLine(w.w, s); err != nil {
		return err
	}
	w.last = s.At
	return nil
}

func writeLine(w io.Writer, v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("metrics: write recording: %w", err)
	}
	if _, err := w.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("metrics: write recording: %w", err)
	}
	return nil
}

// Reader reads a recording, strictly: what it doesn't know, or what can't be,
// is an error that names the line. Only a last line without its end, which a
// crash leaves behind, is passed over.
type Reader struct {
	r         *bufio.Reader
	header    Header
	line      int
	last      time.Time
	truncated bool
	err       error // returned from then on
}

// NewReader reads the header. It returns [ErrRecording] or [ErrVersion] where r
// is not a recording that it can read.
func NewReader(r io.Reader) (*Reader, error) {
	in := &Reader{r: bufio.NewReaderSize(r, maxLine)}
	line, err := in.next()
	if err == io.EOF {
		return nil, fmt.Errorf("%w: line 1: the header is missing", ErrRecording)
	}
	if err != nil {
		return nil, err
	}
	var h wireHeader
	// The version decides what else may stand here, so it is read loosely first.
	if err := json.Unmarshal(line, &h); err != nil || h.Format != recordingFormat || h.Version < 1 {
		return nil, in.fault(`the header is not {"format":"` + recordingFormat + `","version":1,…}`)
	}
	if h.Version > RecordingVersion {
		return nil, fmt.Errorf("%w: version %d, and version %d can be read", ErrVersion, h.Version, RecordingVersion)
	}
	if err := strict(line, &h); err != nil {
		return nil, in.fault(err.Error())
	}
	in.header.Pod = h.Pod
	if in.header.Tick, err = time.ParseDuration(h.Tick); err != nil || in.header.Tick <= 0 {
		return nil, in.fault(fmt.Sprintf("the tick %.40q is not a duration above 0, such as \"1s\"", h.Tick))
	}
	return in, nil
}

// Header returns the header.
func (r *Reader) Header() Header { return r.header }

// Truncated says, once Read has returned [io.EOF], whether an unfinished last
// line was passed over.
func (r *Reader) Truncated() bool { return r.truncated }

// Read returns the next sample, and [io.EOF] after the last one. After an error
// it returns that error again.
func (r *Reader) Read() (Sample, error) {
	if r.err != nil {
		return Sample{}, r.err
	}
	s, err := r.read()
	if err != nil {
		r.err = err
		return Sample{}, err
	}
	r.last = s.At
	return s, nil
}

func (r *Reader) read() (Sample, error) {
	line, err := r.next()
	if err != nil {
		return Sample{}, err
	}
	var s Sample
	if err := strict(line, &s); err != nil {
		return Sample{}, r.fault(err.Error())
	}
	if s.At.IsZero() {
		return Sample{}, r.fault("the sample has no time")
	}
	if s.At.Before(r.last) {
		return Sample{}, fmt.Errorf("%w: line %d: %s after %s", ErrOrder, r.line, s.At.Format(time.RFC3339Nano), r.last.Format(time.RFC3339Nano))
	}
	if problem := s.problem(); problem != "" {
		return Sample{}, r.fault(problem)
	}
	return s, nil
}

// All returns the samples that are left, for range. An error is the last that it
// yields; the end of the recording is none.
func (r *Reader) All() iter.Seq2[Sample, error] {
	return func(yield func(Sample, error) bool) {
		for {
			s, err := r.Read()
			if err == io.EOF || !yield(s, err) || err != nil {
				return
			}
		}
	}
}

// next returns the next complete line without its end. It is valid until the
// next call.
func (r *Reader) next() ([]byte, error) {
	line, err := r.r.ReadSlice('\n')
	r.line++
	switch {
	case err == nil:
		return bytes.TrimSuffix(line, []byte("\n")), nil
	case err == io.EOF:
		r.truncated = len(line) > 0
		return nil, io.EOF
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, r.fault(fmt.Sprintf("it is longer than %d bytes", maxLine))
	}
	return nil, fmt.Errorf("metrics: read recording: line %d: %w", r.line, err)
}

func (r *Reader) fault(problem string) error {
	return fmt.Errorf("%w: line %d: %s", ErrRecording, r.line, problem)
}

// strict reads one JSON value without unknown fields, and nothing behind it.
func strict(line []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return errors.New("it is not a complete JSON object")
		}
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("something follows the JSON object")
	}
	return nil
}

// problem says what a sample holds that can't be, or "".
func (s *Sample) problem() string {
	for _, n := range []struct {
		name string
		n    int
	}{
		{"want", s.Want}, {"nodes.new", s.Nodes.New}, {"nodes.starting", s.Nodes.Starting}, {"nodes.online", s.Nodes.Online},
		{"nodes.standby", s.Nodes.Standby}, {"nodes.draining", s.Nodes.Draining}, {"nodes.failed", s.Nodes.Failed},
	} {
		if n.n < 0 {
			return fmt.Sprintf("%s: %d is negative", n.name, n.n)
		}
	}
	for _, v := range []struct {
		name string
		v    Value
	}{
		{"cpu", s.CPU}, {"memory", s.Memory}, {"in_flight", s.InFlight}, {"waiting", s.Waiting}, {"rate", s.Rate},
		{"errors", s.Errors}, {"p50", s.P50}, {"p95", s.P95}, {"p99", s.P99},
	} {
		if v.v.Or(0) < 0 {
			return fmt.Sprintf("%s: %v is negative", v.name, v.v)
		}
	}
	return ""
}
