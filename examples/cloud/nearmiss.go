package main

import (
	"slices"
	"strconv"
	"strings"
)

// nearest returns the name that was probably meant: one with few slips, or the only
// one that begins so. It returns "" where there is none.
func nearest(given string, names []string) string {
	best, distance := "", max((len([]rune(given))+1)/3, 1)+1
	for _, name := range slices.Sorted(slices.Values(names)) {
		if d := edits(strings.ToLower(given), strings.ToLower(name)); d < distance && d < len(name) {
			best, distance = name, d
		}
	}
	if best == "" && given != "" {
		begun := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !strings.HasPrefix(name, strings.ToLower(given)) })
		if len(begun) == 1 {
			best = begun[0]
		}
	}
	return best
}

// unknown is an error of usage: what was given is none of those that are known.
// The text says what it is not.
func unknown(text, given string, known []string) error {
	if near := nearest(given, known); near != "" {
		return usagef("%s; did you mean %q?", text, near)
	}
	return usagef("%s; use %s", text, oneOf(known))
}

// oneOf lists words as a choice.
func oneOf(words []string) string {
	q := make([]string, len(words))
	for i, w := range words {
		q[i] = strconv.Quote(w)
	}
	if len(q) < 2 {
		return strings.Join(q, "")
	}
	return strings.Join(q[:len(q)-1], ", ") + " or " + q[len(q)-1]
}

// edits counts the insertions, deletions, replacements and swaps of neighbours
// that make b of a.
func edits(a, b string) int {
	x, y := []rune(a), []rune(b)
	rows := make([][]int, len(x)+1)
	for i := range rows {
		rows[i] = make([]int, len(y)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(x); i++ {
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(x)][len(y)]
}
