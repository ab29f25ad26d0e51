package serve

import (
	"bytes"
	"net"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms"
)

func TestDemoMovesAwayFromTakenPorts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	taken := l.Addr().String()
	moved := freeOr(taken)
	assert.Regexp(t, `^127\.0\.0\.1:[1-9]\d*$`, moved)
	assert.NotEqual(t, taken, moved)

	s := settings{freeFronts: true, defaultPods: []cms.PodSpec{{Fronts: []cms.Front{{Front: balancer.Front{Listen: taken}}}}}}
	front := func() string {
		return (&stack{settings: s}).config(Program{}).DefaultPods[0].Fronts[0].Listen
	}
	assert.NotEqual(t, taken, front())

	require.NoError(t, l.Close())
	assert.Equal(t, taken, freeOr(taken))
	assert.Equal(t, "nonsense", freeOr("nonsense"), "whoever uses it says what is wrong with it")
}

// A program without page, workload and demo says nothing of them.
func TestBareProgram(t *testing.T) {
	var out bytes.Buffer
	p := Program{Stdout: &out, Stderr: &out}
	assert.Equal(t, ExitOK, p.Run(t.Context(), []string{"--help"}))
	assert.Contains(t, out.String(), "--check")
	assert.NotContains(t, out.String(), "--demo")
	assert.Equal(t, ExitUsage, p.Run(t.Context(), []string{"--demo"}))
	assert.Contains(t, out.String(), "--demo: is not a flag")
	assert.Equal(t, ExitUsage, p.Run(t.Context(), []string{cmdWorkload}))
	assert.Contains(t, out.String(), `"workload" is not a flag`)
	assert.Empty(t, (&stack{}).builtinPods())
}

func TestSuggest(t *testing.T) {
	names := []string{"listen", "stack", "max_nodes"}
	assert.Equal(t, "did you mean listen?", suggest("lisetn", names))
	assert.Equal(t, "did you mean max_nodes?", suggest("max-nodes", names))
	assert.Equal(t, "did you mean stack?", suggest("STACK", names))
	assert.Equal(t, "use one of listen, stack, max_nodes", suggest("zzzzzz", names))
}

func TestVersion(t *testing.T) { assert.Regexp(t, regexp.MustCompile(`^(dev|v\d)`), version()) }
