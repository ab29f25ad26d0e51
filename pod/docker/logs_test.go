package docker

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestDemuxReturnsWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var framed, plain bytes.Buffer
		for _, chunk := range rapid.SliceOf(rapid.SliceOf(rapid.Byte())).Draw(t, "chunks") {
			kind := rapid.SampledFrom([]stdcopy.StdType{stdcopy.Stdout, stdcopy.Stderr}).Draw(t, "kind")
			_, _ = stdcopy.NewStdWriter(&framed, kind).Write(chunk)
			plain.Write(chunk)
		}
		from := rapid.SampledFrom([]func(io.Reader) io.Reader{
			iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader, func(r io.Reader) io.Reader { return r },
		}).Draw(t, "reader")
		got, err := io.ReadAll(&demux{from: from(&framed)})
		require.NoError(t, err)
		assert.True(t, bytes.Equal(plain.Bytes(), got))
	})
}

func TestDemuxTellsWhatIsWrong(t *testing.T) {
	frame := func(kind byte, text string) []byte {
		b := []byte{kind, 0, 0, 0, 0, 0, 0, 0}
		binary.BigEndian.PutUint32(b[4:], uint32(len(text)))
		return append(b, text...)
	}
	_, err := io.ReadAll(&demux{from: bytes.NewReader(frame(3, "no such driver"))})
	require.ErrorContains(t, err, "no such driver")
	_, err = io.ReadAll(&demux{from: bytes.NewReader([]byte("plain text, as of a terminal"))})
	require.ErrorContains(t, err, "not in frames")
	_, err = io.ReadAll(&demux{from: bytes.NewReader([]byte{1, 0, 0})})
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

// A stop goes on where the output of its node cannot be read.
func TestStopDoesNotHangOnOutput(t *testing.T) {
	for name, logs := range map[string]func(ctx context.Context) (io.ReadCloser, error){
		"no answer": func(ctx context.Context) (io.ReadCloser, error) { <-ctx.Done(); return nil, ctx.Err() },
		"no end":    func(context.Context) (io.ReadCloser, error) { r, _ := io.Pipe(); return r, nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newFakeEngine()
				r := e.open(t)
				r.api = logsOf{e, logs}
				n, err := r.Start(t.Context(), startRequest())
				require.NoError(t, err)
				begun := time.Now()
				tail, err := r.Stop(t.Context(), n.ID, 0)
				require.NoError(t, err)
				assert.Nil(t, tail)
				assert.Equal(t, tailTimeout, time.Since(begun))
				assert.Zero(t, e.left())
			})
		})
	}
}

func TestStopReturnsNoTailOfWhatIsDamaged(t *testing.T) {
	e := newFakeEngine()
	r := e.open(t)
	e.logs = "no frames at all"
	n, err := r.Start(t.Context(), startRequest())
	require.NoError(t, err)
	tail, err := r.Stop(t.Context(), n.ID, 0)
	require.NoError(t, err)
	assert.Nil(t, tail)
	e.logs = "\x01\x00\x00\x00\x00\x00\x00\x04a\nb\n"
	n, err = r.Start(t.Context(), startRequest())
	require.NoError(t, err)
	e.busy = 1
	tail, err = r.Stop(t.Context(), n.ID, time.Second)
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "b"}, tail)
}

// logsOf is an engine whose answers about output a test gives.
type logsOf struct {
	*fakeEngine
	logs func(ctx context.Context) (io.ReadCloser, error)
}

func (e logsOf) ContainerLogs(ctx context.Context, _ string, _ container.LogsOptions) (io.ReadCloser, error) {
	return e.logs(ctx)
}
