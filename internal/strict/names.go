package strict

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/elastipod/elastipod/internal/fault"
)

var plainName = regexp.MustCompile(`^[A-Za-z0-9_./:-]{1,60}$`)

// Below returns the path of a member. A name that would garble it is quoted.
func Below(path, name string) string {
	if !plainName.MatchString(name) {
		name = fmt.Sprintf("%.60q", name)
	}
	return fault.Join(path, name)
}

// Item returns the path of an element of a list.
func Item(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// Suggest says which of the known names was meant, or else which there are.
func Suggest(name string, known []string) string {
	if best := Nearest(name, known); best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return "use " + OneOf(known)
}

// Nearest returns the known name that is most like name, or "" where none is like it.
func Nearest(name string, known []string) string {
	best, least := "", min(max(2, len(name)/3), len(name)/2)+1
	for _, k := range slices.Sorted(slices.Values(known)) {
		if d := distance(strings.ToLower(name), strings.ToLower(k)); d < least && d < len(k) {
			best, least = k, d
		}
	}
	return best
}

// distance is the least number of letters to insert, delete, replace or swap with
// the next one (optimal string alignment), of the first 64 bytes.
func distance(a, b string) int {
	a, b = a[:min(len(a), 64)], b[:min(len(b), 64)]
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next[j+1] = min(row[j]+cost, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}

// OneOf lists names for a person: "a", "b" or "c".
func OneOf(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = strconv.Quote(n)
	}
	if n := len(quoted); n > 1 {
		return strings.Join(quoted[:n-1], ", ") + " or " + quoted[n-1]
	}
	return strings.Join(quoted, "")
}
