package wire

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	units "github.com/docker/go-units"
	"github.com/goccy/go-yaml/ast"
)

// Bytes is an amount of memory in settings. It reads a number of bytes or a
// string with a unit: B, kB, MB, GB, TB (powers of 1000) and KiB, MiB, GiB, TiB
// (powers of 1024). It writes the shortest exact string, or the number where a
// unit would not be exact, so that what was read comes back equal.
//
// Decoding refuses what is not above 0: a 0 would be taken for the default.
type Bytes int64

// BytesPattern is what a string of [Bytes] looks like.
const BytesPattern = `^([0-9]{1,19}( ?B)?|[0-9]{1,15}(\.[0-9]{1,9})? ?([kKMGT]B|[KMGT]iB))$`

const maxBytes = 1 << 60

var bytesRE = regexp.MustCompile(BytesPattern)

// byteUnits are the units of [Bytes], those that are preferred first.
var byteUnits = []struct {
	name string
	size int64
}{
	{"TiB", units.TiB}, {"GiB", units.GiB}, {"MiB", units.MiB}, {"KiB", units.KiB},
	{"TB", units.TB}, {"GB", units.GB}, {"MB", units.MB}, {"kB", units.KB}, {"KB", units.KB},
	{"B", 1}, {"", 1},
}

// ParseBytes returns the amount that a string such as "300MiB", "1.5GB" or
// "4096" says.
func ParseBytes(s string) (Bytes, error) {
	bad := fmt.Errorf("%.40q is not an amount of memory; %s", s, AllowedBytes)
	if !bytesRE.MatchString(s) {
		return 0, bad
	}
	for _, u := range byteUnits {
		number, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		n, err := multiply(strings.TrimSuffix(number, " "), u.size)
		if err != nil || n < 1 || n > maxBytes {
			return 0, bad
		}
		return Bytes(n), nil
	}
	return 0, bad
}

// multiply is exact for whole numbers; what overflows is over maxBytes.
func multiply(number string, by int64) (int64, error) {
	if !strings.Contains(number, ".") {
		n, err := strconv.ParseInt(number, 10, 64)
		if err == nil && n > maxBytes/by {
			n, by = maxBytes+1, 1
		}
		return n * by, err
	}
	x, err := strconv.ParseFloat(number, 64)
	return int64(min(math.Round(x*float64(by)), 2*maxBytes)), err
}

// String returns the shortest exact way to write the amount.
func (b Bytes) String() string {
	best, unit := int64(b), ""
	for _, u := range byteUnits {
		if u.size == 1 {
			break
		}
		if n := int64(b); n != 0 && n%u.size == 0 && abs(n/u.size) < abs(best) {
			best, unit = n/u.size, u.name
		}
	}
	return strconv.FormatInt(best, 10) + unit
}

func abs(n int64) int64 {
	if n < 0 {
		return -n
	}
	return n
}

// MarshalJSON writes a string with a unit, or a number.
func (b Bytes) MarshalJSON() ([]byte, error) { return json.Marshal(b.plain()) }

// MarshalYAML writes a string with a unit, or a number.
func (b Bytes) MarshalYAML() (any, error) { return b.plain(), nil }

func (b Bytes) plain() any {
	s := b.String()
	if s[len(s)-1] == 'B' {
		return s
	}
	return int64(b)
}

// UnmarshalJSON reads a number or a string with a unit.
func (b *Bytes) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	x, err := ParseBytes(text(data))
	if err == nil {
		*b = x
	}
	return err
}

// UnmarshalYAML reads a number or a string with a unit.
func (b *Bytes) UnmarshalYAML(node ast.Node) error { return fromYAML(b, node, ParseBytes) }
