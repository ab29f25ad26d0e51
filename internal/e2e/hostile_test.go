//go:build e2e

package e2e

import (
	"os/exec"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// A hundred thousand hostile requests, and ten times as many in the long run.
func TestHundredThousandHostileRequests(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-v", "-timeout", "60m", "-run", "^TestHostileRequests$", ".",
		"-hostile.seed", "2", "-hostile.requests", strconv.Itoa(rounds(100_000, 1_000_000)))
	cmd.Dir = "../apifuzz"
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	t.Logf("%s", out)
}
