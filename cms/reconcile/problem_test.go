package reconcile

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// full returns a problem of a code of which every field is filled in.
func full(c Code) Problem {
	return Problem{
		Code: c, Pod: "web", Node: "n7", Host: "h3", Front: "shop", Fault: Fault{Code: FaultOther, Text: "it said no"},
		Count: 11, Limit: 13, Lasts: "17s", Again: simEpoch.Add(1234 * time.Millisecond),
	}
}

// Each kind of problem has a sentence of its own, which names what it is about.
func TestEveryProblemHasASentence(t *testing.T) {
	names := map[Code][]string{ // what the sentence must name
		ProblemPolicy:          {"it said no"},
		ProblemStart:           {"n7", "h3", "it said no"},
		ProblemImage:           {"n7", "h3", "it said no"},
		ProblemDenied:          {"n7", "h3", "it said no"},
		ProblemOverdue:         {"n7", "h3", "17s"},
		ProblemDeaths:          {"n7", "17s", "11 in a row", "it said no"},
		ProblemRoom:            {"it said no"},
		ProblemSurge:           {"11 new nodes", "max_nodes is 13"},
		ProblemWaits:           {"it said no", "update.max_unavailable"},
		ProblemRollback:        {"it said no"},
		ProblemLost:            {"h3", "17s", "11 nodes"},
		ProblemServers:         {"shop", "it said no"},
		ProblemFront:           {"shop", "it said no"},
		ProblemLeftFront:       {"shop", "it said no"},
		ProblemStop:            {"n7", "it said no"},
		ProblemOrphan:          {"n7", "h3", "it said no"},
		ProblemSettings:        {"it said no"},
		ProblemStore:           {"it said no"},
		ProblemBalancer:        {"it said no"},
		ProblemHost:            {"h3", "it said no"},
		ProblemForeign:         {"h3", "it said no"},
		ProblemBalancerTrouble: {"it said no"},
	}
	seen := map[string]Code{}
	for _, c := range Codes() {
		p := full(c)
		text := p.Sentence(simEpoch)
		assertSentence(t, text)
		assert.True(t, strings.HasSuffix(text, "; the next try is in 1.2s"), text)
		require.NotEmpty(t, names[c], "what the sentence of %s names", c)
		for _, name := range names[c] {
			assert.Contains(t, text, name, c)
		}
		assert.Greater(t, len(text), len("it said no; the next try is in 1.2s"), c)
		if c != ProblemImage && c != ProblemDenied { // of one kind for people
			assert.Empty(t, seen[text], "%s and %s say the same", c, seen[text])
		}
		seen[text] = c
		assert.Equal(t, c == ProblemImage || c == ProblemDenied, c.Hopeless(), c)

		assert.Contains(t, p.Sentence(p.Again), "; it is tried again now")
		assert.Contains(t, p.Sentence(p.Again.Add(time.Hour)), "; it is tried again now")
		p.Again = time.Time{}
		assert.NotContains(t, p.Sentence(simEpoch), "try")
	}
	assert.Equal(t, "it said no", full("unknown").sentence())
}

// Codes returns each code that there is, once.
func TestCodesAreComplete(t *testing.T) {
	for _, c := range []struct {
		file, typ string
		listed    []string
	}{
		{"problem.go", "Code", texts(Codes())},
		{"event.go", "EventType", texts(EventTypes())},
	} {
		assert.ElementsMatch(t, constants(t, c.file, c.typ), c.listed, c.typ)
	}
}

func texts[T ~string](list []T) (out []string) {
	for _, s := range list {
		out = append(out, string(s))
	}
	return out
}

// constants returns the values of the constants of a type in a file.
func constants(t *testing.T, file, typ string) (out []string) {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	require.NoError(t, err)
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); ok && name.Name == typ {
			for _, v := range spec.Values {
				out = append(out, strings.Trim(v.(*ast.BasicLit).Value, `"`))
			}
		}
		return true
	})
	require.NotEmpty(t, out)
	return out
}

func TestFinalFaults(t *testing.T) {
	for _, text := range constants(t, "fault.go", "FaultCode") {
		f := Fault{Code: FaultCode(text)}
		assert.False(t, f.OK())
		assert.Equal(t, f.Code == FaultImage || f.Code == FaultDenied, f.Final(), text)
		switch f.Code {
		case FaultRegistry, FaultUnreachable, FaultElsewhere, FaultCanceled, FaultTimeout, FaultForeign:
			assert.True(t, passing(f), text)
		default:
			assert.False(t, passing(f), text)
		}
	}
	assert.True(t, Fault{}.OK())
}
