package client_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/client"
	"github.com/elastipod/elastipod/cms/wire"
)

func TestWebhooks(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.EscapedPath())
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodGet {
			_, _ = w.Write([]byte(`{"items":[{"name":"chat","origin":"https://chat","types":["pod"],"state":"active","queued":0,"delivered":2,"failed":0,"dropped":0,"attempts":2}],"next":""}`))
			return
		}
		_, _ = w.Write([]byte(`{"delivered":false,"status":503,"error":"status 503","seconds":0.1}`))
	}))
	defer server.Close()
	c, err := client.New(client.Config{Server: server.URL})
	require.NoError(t, err)
	defer c.Close()
	all, err := c.Webhooks(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []wire.Webhook{{Name: "chat", Origin: "https://chat", Types: []string{"pod"}, State: "active", Delivered: 2, Attempts: 2}}, all)
	result, err := c.TestWebhook(t.Context(), "a/b")
	require.NoError(t, err)
	assert.Equal(t, wire.WebhookTest{Status: 503, Error: "status 503", Seconds: 0.1}, result)
	assert.Equal(t, []string{"GET /v1/webhooks", "POST /v1/webhooks/a%2Fb/test"}, asked)
}
