package wire_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/elastipod/elastipod/cms/wire"
)

func TestProblem(t *testing.T) {
	p := wire.Problem{Code: "start-failed", Pod: "web", Text: "node n1 could not be started: no; it exited; the next try is in 5s", Again: time.Now()}
	assert.Equal(t, "node n1 could not be started: no; it exited", p.What())
	assert.Equal(t, "pod web: "+p.Text, p.String())
	assert.False(t, p.Hopeless())
	p.Again = time.Time{}
	assert.Equal(t, p.Text, p.What())
	p.Pod = ""
	assert.Equal(t, p.Text, p.String())
	assert.True(t, wire.Problem{Code: wire.ProblemImageDenied}.Hopeless())
}
