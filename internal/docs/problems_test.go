package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/reconcile"
)

// TestEveryProblemIsExplained: the manager's guide has every code of a problem, in
// their order.
func TestEveryProblemIsExplained(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "cms", "README.md"))
	require.NoError(t, err)
	_, section, found := strings.Cut(string(text), "\n## Problems\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	var told []reconcile.Code
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|").FindAllStringSubmatch(section, -1) {
		told = append(told, reconcile.Code(row[1]))
	}
	assert.Equal(t, reconcile.Codes(), told)
}
