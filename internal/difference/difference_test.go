package difference_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/internal/difference"
)

func TestBetween(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{`{}`, `{}`, ``},
		{`{"a":1}`, `{"a":1.0}`, ``},
		{`{"a":null,"c":[],"d":{}}`, `{}`, ``},
		{`{"w":{"env":{"K":""}}}`, `{}`, `w.env.K "" null`},
		{`{"a":1,"b":"x"}`, `{"b":"y","a":2}`, `a 1 2|b "x" "y"`},
		{`{"a":false}`, `{}`, `a false null`},
		{`{}`, `{"w":{"env":{"K":"v"},"ports":{"http":80}}}`, `w.env.K null "v"|w.ports.http null 80`},
		{`{"w":{"env":{"K":"v"}}}`, `{}`, `w.env.K "v" null`},
		{`{"l":["a","b"]}`, `{"l":["a","c"]}`, `l ["a","b"] ["a","c"]`},
		{`{"l":["a"]}`, `{}`, `l ["a"] null`},
		{`{"l":[{"name":"a","x":1},{"name":"b"}]}`, `{"l":[{"name":"b"},{"name":"a","x":2}]}`, `l[a].x 1 2`},
		{`{}`, `{"l":[{"name":"a","x":1}]}`, `l[a] null {"name":"a","x":1}`},
		{`{"l":[{"name":"a"},{"name":"b"}]}`, `{"l":[{"name":"b"}]}`, `l[a] {"name":"a"} null`},
		{`{"l":[{"w":1}]}`, `{"l":[{"w":2}]}`, `l [{"w":1}] [{"w":2}]`},
		{`{"x":{"y":1}}`, `{"x":1}`, `x {"y":1} 1`},
	} {
		var got string
		for _, d := range difference.Between(tree(t, c.from), tree(t, c.to)) {
			from, err := json.Marshal(d.From)
			require.NoError(t, err)
			to, err := json.Marshal(d.To)
			require.NoError(t, err)
			if got != "" {
				got += "|"
			}
			got += d.Path + " " + string(from) + " " + string(to)
		}
		assert.Equal(t, c.want, got, "%s and %s", c.from, c.to)
	}
}

func tree(t *testing.T, text string) map[string]any {
	t.Helper()
	out, err := difference.Tree(json.RawMessage(text))
	require.NoError(t, err)
	return out
}

func TestTreeOfWhatHasNoJSON(t *testing.T) {
	_, err := difference.Tree(func() {})
	assert.Error(t, err)
}
