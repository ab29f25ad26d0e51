package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/api"
	"github.com/elastipod/elastipod/cms/wire"
)

// chat is one target of webhooks.
type chat struct{}

func (chat) Targets() []wire.Webhook {
	return []wire.Webhook{{Name: "chat", Origin: "https://chat.example.com", Types: []string{"pod.scaled"}, State: "retrying", Queued: 3, Error: "status 503", ErrorAt: at}}
}

func (chat) Test(_ context.Context, name string) (wire.WebhookTest, error) {
	if name != "chat" {
		return wire.WebhookTest{}, fmt.Errorf("no webhook %q", name)
	}
	return wire.WebhookTest{Status: 503, Error: "status 503", Seconds: 0.01}, nil
}

func TestWebhooks(t *testing.T) {
	a := newAPI(t, newFake())
	list := read[wire.List[wire.Webhook]](t, call(t, a, "GET", "/v1/webhooks", nil))
	assert.Equal(t, chat{}.Targets(), list.Items)

	result := read[wire.WebhookTest](t, call(t, a, "POST", "/v1/webhooks/chat/test", nil))
	assert.Equal(t, wire.WebhookTest{Status: 503, Error: "status 503", Seconds: 0.01}, result)

	r := call(t, a, "POST", "/v1/webhooks/caht/test", nil)
	assert.Equal(t, 404, r.StatusCode)
	assert.Contains(t, problemOf(t, r).Detail, `did you mean "chat"?`)

	none := newAPI(t, newFake(), func(c *api.Config) { c.Webhooks = nil })
	assert.Empty(t, read[wire.List[wire.Webhook]](t, call(t, none, "GET", "/v1/webhooks", nil)).Items)
	assert.Equal(t, 404, call(t, none, "POST", "/v1/webhooks/chat/test", nil).StatusCode)
}

// The document says what targets are sent.
func TestWebhooksAreDocumented(t *testing.T) {
	var doc struct {
		Webhooks map[string]map[string]struct {
			RequestBody struct {
				Content map[string]struct {
					Schema struct {
						Ref string `json:"$ref"`
					} `json:"schema"`
				} `json:"content"`
			} `json:"requestBody"`
		} `json:"webhooks"`
	}
	require.NoError(t, json.NewDecoder(call(t, newAPI(t, newFake()), "GET", "/openapi.json", nil).Body).Decode(&doc))
	assert.Equal(t, "#/components/schemas/WebhookMessage", doc.Webhooks["event"]["post"].RequestBody.Content["application/json"].Schema.Ref)
}
