package docker

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"
	"testing/iotest"

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
