package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// usageError says that the command line is wrong.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// names returns a check that there is one argument for each name. A name that
// begins with "[" may be left out.
func names(want ...string) cobra.PositionalArgs {
	least := 0
	for _, w := range want {
		if !strings.HasPrefix(w, "[") {
			least++
		}
	}
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usagef("%s is missing", want[len(args)])
		case len(args) > len(want):
			return usagef("%q is too much", args[len(want)])
		}
		for i, a := range args {
			if a == "" {
				return usagef("%s is empty", want[i])
			}
		}
		return nil
	}
}

// oneLine joins the lines of a message.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(printable(s), func(r rune) bool { return r == ' ' }), " ")
}

// joined renders an error; those of [errors.Join] are parted by a bar.
func joined(err error) string {
	return strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", " | ")
}
