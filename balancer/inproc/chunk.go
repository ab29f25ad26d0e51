package inproc

import (
	"bytes"
	"strconv"
)

// Bounds of a chunked body.
const (
	maxChunkLine = 4 << 10
	maxTrailers  = 16 << 10
)

type chunkState uint8

const (
	chunkSize chunkState = iota
	chunkData
	chunkEnd
	chunkTrailers
	chunkDone
)

// dechunker decodes a chunked body from a reader's buffer, without copying. The
// zero value begins one.
type dechunker struct {
	state    chunkState
	left     int64
	trailers []byte // whole lines, those that may be passed on
	size     int    // of all trailers
}

// next returns the next piece of data that is in the buffer, consumed. It is
// empty when there is none: the body is done, or more must be read. more says
// which. The piece is good until the reader is filled again.
func (d *dechunker) next(r *reader) (piece []byte, more bool, err error) {
	for {
		b := r.buffered()
		switch d.state {
		case chunkSize:
			line, ok, err := chunkLine(b)
			if !ok || err != nil {
				return nil, true, err
			}
			if d.left, err = parseChunkSize(line); err != nil {
				return nil, false, err
			}
			r.consume(len(line) + 2)
			d.state = chunkData
			if d.left == 0 {
				d.state = chunkTrailers
			}
		case chunkData:
			if len(b) == 0 {
				return nil, true, nil
			}
			n := int(min(d.left, int64(len(b))))
			d.left -= int64(n)
			if d.left == 0 {
				d.state = chunkEnd
			}
			r.consume(n)
			return b[:n], true, nil
		case chunkEnd:
			if len(b) > 0 && b[0] != '\r' || len(b) > 1 && b[1] != '\n' {
				return nil, false, errChunk
			}
			if len(b) < 2 {
				return nil, true, nil
			}
			r.consume(2)
			d.state = chunkSize
		case chunkTrailers:
			line, ok, err := chunkLine(b)
			if !ok || err != nil {
				return nil, true, err
			}
			if err := d.trailer(b[:len(line)+2]); err != nil {
				return nil, false, err
			}
			r.consume(len(line) + 2)
			if len(line) == 0 {
				d.state = chunkDone
			}
		case chunkDone:
			return nil, false, nil
		}
	}
}

// trailer takes a line of the trailer section. Fields that frame, route or
// authorise are not passed on (RFC 9110, 6.5.1).
func (d *dechunker) trailer(raw []byte) error {
	if len(raw) == 2 {
		return nil
	}
	if d.size += len(raw); d.size > maxTrailers {
		return errChunk
	}
	f, ok := parseField(raw)
	if !ok {
		return errChunk
	}
	if f.kind != other || fold(f.name, "authorization") || fold(f.name, "cookie") || fold(f.name, "set-cookie") ||
		fold(f.name, "content-type") || fold(f.name, "content-encoding") || fold(f.name, "content-range") || fold(f.name, "cache-control") {
		return nil
	}
	d.trailers = append(d.trailers, raw...)
	return nil
}

// chunkLine returns the line that b begins with, without its end, if it is whole.
func chunkLine(b []byte) (line []byte, ok bool, err error) {
	end := bytes.IndexByte(b, '\n')
	if end < 0 {
		if len(b) > maxChunkLine {
			return nil, false, errChunk
		}
		return nil, false, nil
	}
	if end == 0 || b[end-1] != '\r' || end > maxChunkLine {
		return nil, false, errChunk
	}
	return b[:end-1], true, nil
}

// parseChunkSize parses the size, and drops an extension.
func parseChunkSize(line []byte) (int64, error) {
	digits := 0
	var n int64
	for digits < len(line) && class[line[digits]]&isHex != 0 {
		c := line[digits]
		switch {
		case c <= '9':
			c -= '0'
		default:
			c = c | 0x20 - 'a' + 10
		}
		n = n<<4 | int64(c)
		digits++
	}
	if digits == 0 || digits > 15 {
		return 0, errChunk
	}
	ext := trim(line[digits:])
	if len(ext) > 0 && (ext[0] != ';' || !all(ext, isText)) || len(ext) == 0 && digits < len(line) {
		return 0, errChunk
	}
	return n, nil
}

// appendChunk appends a chunk with that data, which is not empty.
func appendChunk(b, data []byte) []byte {
	b = strconv.AppendInt(b, int64(len(data)), 16)
	b = append(b, "\r\n"...)
	b = append(b, data...)
	return append(b, "\r\n"...)
}

// appendLastChunk appends the end of a chunked body.
func appendLastChunk(b, trailers []byte) []byte {
	b = append(b, "0\r\n"...)
	b = append(b, trailers...)
	return append(b, "\r\n"...)
}
