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
	one := texts.Of(cms.Event{Type: cms.EventTick, Tick: first})
	again := texts.Of(cms.Event{Type: cms.EventTick, Tick: first})
	assert.Same(t, &one[0], &again[0], "written once")
	assert.Contains(t, string(one), `"seq":1`)
	assert.Contains(t, string(texts.Of(cms.Event{Type: cms.EventTick, Tick: second})), `"seq":2`)
	assert.Contains(t, string(texts.Of(cms.Event{Type: cms.EventScaled, ID: 7, Tick: first})), "id: 7")
	for id := range uint64(1000) {
		text := string(texts.Of(cms.Event{Type: cms.EventProblem, ID: id + 1}))
		assert.True(t, strings.HasPrefix(text, "id: "+strconv.FormatUint(id+1, 10)+"\n"), text)
	}
	assert.LessOrEqual(t, texts.Len(), 256, "it does not grow")
	assert.Equal(t, string(one), string(texts.Of(cms.Event{Type: cms.EventTick, Tick: first})))
}
