package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	passes = `{"Action":"run","Package":"github.com/elastipod/elastipod/pod","Test":"TestA"}
{"Action":"pass","Package":"github.com/elastipod/elastipod/pod","Test":"TestA"}
{"Action":"pass","Package":"github.com/elastipod/elastipod/pod","Elapsed":1.5}
`
	fails = `{"Action":"output","Package":"github.com/elastipod/elastipod/pod","Test":"TestB","Output":"want 3\n"}
{"Action":"fail","Package":"github.com/elastipod/elastipod/pod","Test":"TestB"}
{"Action":"fail","Package":"github.com/elastipod/elastipod/pod","Elapsed":1.5}
`
	skips  = `{"Action":"skip","Package":"github.com/elastipod/elastipod/pod","Test":"TestC"}` + "\n"
	breaks = `{"ImportPath":"github.com/elastipod/elastipod/pod","Action":"build-output","Output":"syntax error\n"}
{"ImportPath":"github.com/elastipod/elastipod/pod","Action":"build-fail"}
`
	panics = `{"Action":"output","Package":"github.com/elastipod/elastipod/pod","Output":"panic: leak\n"}
{"Action":"fail","Package":"github.com/elastipod/elastipod/pod","Elapsed":1.5}
`
)

func TestGate(t *testing.T) {
	for _, c := range []struct {
		name, in, require string
		code              int
		says              string
	}{
		{"passes", passes, "", 0, "1 passed, 0 failed, 0 skipped"},
		{"fails", passes + fails, "", 1, "want 3"},
		{"skips", passes + skips, "", 1, "1 passed, 0 failed, 1 skipped"},
		{"does not build", passes + breaks, "", 1, "syntax error"},
		{"fails as a package", passes + panics, "", 1, "panic: leak"},
		{"no tests", "", "", 1, "0 passed, 0 failed, 0 skipped"},
		{"required and passed", passes, "pod TestA # why\n", 0, "1 passed"},
		{"required and missing", passes, "pod TestA\npod TestZ\n", 1, "REQUIRED pod TestZ: did not run"},
		{"required and skipped", passes + skips, "pod TestC\n", 1, "REQUIRED pod TestC: skip"},
		{"bad list", passes, "TestA\n", 2, ""},
		{"empty list", passes, "# nothing\n", 2, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			args := []string{"-save", filepath.Join(dir, "saved.json")}
			if c.require != "" {
				list := filepath.Join(dir, "list")
				require.NoError(t, os.WriteFile(list, []byte(c.require), 0o600))
				args = append(args, "-require", list)
			}
			var out, errs strings.Builder
			assert.Equal(t, c.code, run(args, strings.NewReader(c.in), &out, &errs), out.String()+errs.String())
			assert.Contains(t, out.String(), c.says)

			// What was saved says the same when it is read again.
			out.Reset()
			again := append(args[2:len(args):len(args)], filepath.Join(dir, "saved.json"))
			assert.Equal(t, c.code, run(again, nil, &out, &errs))
		})
	}
}
