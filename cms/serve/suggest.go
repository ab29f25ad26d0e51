package serve

import (
	"strings"

	"github.com/elastipod/elastipod/internal/strict"
)

// suggest says which of the names was meant, or all of them.
func suggest(given string, names []string) string {
	if near := strict.Nearest(given, names); near != "" {
		return "did you mean " + near + "?"
	}
	return "use one of " + strings.Join(names, ", ")
}
