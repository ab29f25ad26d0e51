package api

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/wire"
)

// Webhooks are targets to which somebody else sends events; a webhook.Sender is
// one.
type Webhooks interface {
	// Targets returns how each target is doing, from memory.
	Targets() []wire.Webhook
	// Test sends one event to a target at once, past its queue, and says what became
	// of it. An error means that there is no such target.
	Test(ctx context.Context, name string) (wire.WebhookTest, error)
}

// EventTypeNames returns the names of all types of events.
func EventTypeNames() []string {
	return each(cms.EventTypes(), func(t cms.EventType) string { return string(t) })
}

type noWebhooks struct{}

func (noWebhooks) Targets() []wire.Webhook { return nil }
func (noWebhooks) Test(context.Context, string) (wire.WebhookTest, error) {
	return wire.WebhookTest{}, errors.New("there are no webhooks")
}

type webhookParam struct {
	Webhook string `path:"webhook" doc:"The target's name in the server's configuration." example:"chat"`
}

func (a *API) webhookRoutes() {
	register(a, route{
		method: http.MethodGet, path: "/v1/webhooks", id: "list-webhooks", tag: "cluster", role: Viewer,
		summary:     "The targets of webhooks, by name",
		description: "They are set in the server's configuration. Figures are since the server started.",
	}, func(_ context.Context, in *pageParams) (*output[wire.List[wire.Webhook]], error) {
		return answer(http.StatusOK, page(in.Limit, in.After, slices.Clone(a.cfg.Webhooks.Targets()), func(w wire.Webhook) string { return w.Name })), nil
	})
	register(a, route{
		method: http.MethodPost, path: "/v1/webhooks/{webhook}/test", id: "test-webhook", tag: "cluster", role: Operator,
		summary:     "Send an event of type webhook.test to a target",
		description: "At once and once, past the target's queue. The answer says what became of it.",
		errors:      []int{http.StatusNotFound},
	}, func(ctx context.Context, in *webhookParam) (*output[wire.WebhookTest], error) {
		names := each(a.cfg.Webhooks.Targets(), func(t wire.Webhook) string { return t.Name })
		notFound := noSuch("there is no webhook", in.Webhook, names, "/v1/webhooks")
		if !slices.Contains(names, in.Webhook) {
			return nil, notFound
		}
		result, err := a.cfg.Webhooks.Test(ctx, in.Webhook)
		if err != nil {
			return nil, notFound // removed just now
		}
		return answer(http.StatusOK, result), nil
	})
	a.huma.OpenAPI().Webhooks = map[string]*huma.PathItem{"event": {Post: &huma.Operation{
		OperationID: "receive-event", Tags: []string{"cluster"}, Summary: "What a target of webhooks is sent",
		Description: "Signed as the Standard Webhooks specification says, in the headers webhook-id, webhook-timestamp and webhook-signature. " +
			"An event may come more than once, each time with the same webhook-id.",
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"application/json": {Schema: schemaOf[wire.WebhookMessage](a.schemas)},
		}},
		Responses: map[string]*huma.Response{
			"2XX": {Description: "It was taken. The body is not read."},
			"410": {Description: "No more events are wanted."},
			"429": {Description: "It is sent again, after Retry-After where that is given; as with 5XX."},
			"4XX": {Description: "It is refused, and not sent again."},
		},
	}}}
}
