package markdown

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const document = "# A title, it's `one`\n" +
	"See [it](a.md#b), <https://example.org/x> and `[not](this)`.\n" +
	"<img src=\"p.svg\">\n" +
	"<!-- file: x.yaml -->\n" +
	"<!-- run: background -->\n" +
	"```console more\n" +
	"$ [x](y)\n" +
	"# no heading\n" +
	"```\n" +
	"<!-- file: lost.yaml -->\n" +
	"words\n" +
	"````go\n" +
	"```\n" +
	"````\n" +
	"## A title, it's one\n"

func TestBlocks(t *testing.T) {
	blocks := Blocks(document)
	require.Len(t, blocks, 2)
	assert.Equal(t, Block{
		Language: "console", Notes: map[string]string{"file": "x.yaml", "run": "background"},
		Text: "$ [x](y)\n# no heading\n", Line: 7,
	}, blocks[0])
	assert.Equal(t, Block{Language: "go", Text: "```\n", Line: 13}, blocks[1])
}
