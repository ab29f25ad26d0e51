package webhook_test

import (
	"context"
	"net/http"
	"os"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/api"
	"github.com/elastipod/elastipod/cms/webhook"
)

// region: embed

// serve returns the API of a manager that sends webhooks until ctx ends.
func serve(ctx context.Context, m *cms.Manager) (http.Handler, error) {
	s, err := webhook.New(webhook.Config{Manager: m, Targets: []webhook.Target{{
		Name: "chat", URL: "https://hooks.example.com/elastipod", Secrets: []string{os.Getenv("CHAT_SECRET")},
	}}})
	if err != nil {
		return nil, err
	}
	a, err := api.New(api.Config{Manager: m, Webhooks: s})
	if err != nil {
		return nil, err
	}
	go s.Run(ctx) // returns when ctx ends or the manager stops
	return a.Handler(), nil
}

// end

var _ = serve
