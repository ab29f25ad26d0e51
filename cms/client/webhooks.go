package client

import (
	"context"
	"net/http"

	"github.com/elastipod/elastipod/cms/wire"
)

// Webhooks returns the targets to which the server sends events, by name.
func (c *Client) Webhooks(ctx context.Context) ([]wire.Webhook, error) {
	l, err := do[wire.List[wire.Webhook]](ctx, c, request{method: http.MethodGet, path: "/v1/webhooks"})
	return l.Items, err
}

// TestWebhook sends an event of type webhook.test to a target at once, and
// returns what became of it. A target that does not take it is no error.
func (c *Client) TestWebhook(ctx context.Context, name string) (wire.WebhookTest, error) {
	return do[wire.WebhookTest](ctx, c, request{method: http.MethodPost, path: "/v1/webhooks" + pathOf(name, "test")})
}
