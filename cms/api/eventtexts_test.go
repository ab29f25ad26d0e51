package api_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/api"
)

// An event is written once for all who follow; events that differ stay apart,
// also where many others come in between.
func TestEventTexts(t *testing.T) {
	var texts api.EventTexts
	first, second := &cms.Tick{Seq: 1}, &cms.Tick{Seq: 2}
	one := texts.Of(cms.Event{Type: cms.EventTick, Tick: first}, false)
	again := texts.Of(cms.Event{Type: cms.EventTick, Tick: first}, false)
	assert.Same(t, &one[0], &again[0], "written once")
	assert.Contains(t, string(one), `"seq":1`)
	assert.Contains(t, string(texts.Of(cms.Event{Type: cms.EventTick, Tick: second}, false)), `"seq":2`)
	assert.Contains(t, string(texts.Of(cms.Event{Type: cms.EventScaled, ID: 7, Tick: first}, false)), "id: 7")
	brief := string(texts.Of(cms.Event{Type: cms.EventTick, Tick: first}, true))
	assert.Contains(t, brief, `"sample":{`)
	assert.NotContains(t, brief, "observation")
	assert.NotContains(t, brief, "decision")
	assert.Contains(t, string(texts.Of(cms.Event{Type: cms.EventScaled, ID: 7, Tick: first}, true)), "decision", "only ticks are brief")
	assert.Contains(t, string(one), `"decision":{`)
	for id := range uint64(1000) {
		text := string(texts.Of(cms.Event{Type: cms.EventProblem, ID: id + 1}, false))
		assert.True(t, strings.HasPrefix(text, "id: "+strconv.FormatUint(id+1, 10)+"\n"), text)
	}
	assert.LessOrEqual(t, texts.Len(), 256, "it does not grow")
	assert.Equal(t, string(one), string(texts.Of(cms.Event{Type: cms.EventTick, Tick: first}, false)))
}
