package wire

import "time"

// Webhook is a target to which the server sends events.
type Webhook struct {
	Name      string    `json:"name" doc:"As configured."`
	Origin    string    `json:"origin" doc:"Scheme, host and port of its URL; the rest may be a secret."`
	Types     []string  `json:"types" doc:"The types of events, or whole families, that it gets."`
	Pods      []string  `json:"pods,omitempty" doc:"The pods of which it gets events. Absent: all."`
	State     string    `json:"state" doc:"\"active\", \"retrying\", or \"disabled\" after it answered 410 Gone."`
	Queued    int       `json:"queued" doc:"Events that wait, the one that is being sent included."`
	Delivered uint64    `json:"delivered" doc:"Events since the server started, as the next three."`
	Failed    uint64    `json:"failed" doc:"Events that it refused, or that were given up after retries."`
	Dropped   uint64    `json:"dropped" doc:"Events that its queue was too full for, or that were left at the end."`
	Attempts  uint64    `json:"attempts" doc:"Requests that were sent."`
	Last      time.Time `json:"last,omitzero" doc:"When it last took an event. Absent before."`
	Error     string    `json:"error,omitempty" doc:"Why the last attempt failed; absent after one that did not."`
	ErrorAt   time.Time `json:"error_at,omitzero" doc:"When it failed."`
}

// WebhookTest is what became of an event that was sent as a test.
type WebhookTest struct {
	Delivered bool    `json:"delivered" doc:"The target took it."`
	Status    int     `json:"status,omitempty" doc:"What the target answered; absent where it did not."`
	Error     string  `json:"error,omitempty" doc:"Why it was not delivered."`
	Seconds   float64 `json:"seconds" doc:"How long it took."`
}

// WebhookMessage is the body of a request to a target of webhooks.
type WebhookMessage struct {
	Type      string    `json:"type" doc:"That of the event, or \"webhook.test\"."`
	Timestamp time.Time `json:"timestamp" doc:"When it happened."`
	Cluster   string    `json:"cluster" doc:"Name of the cluster that it is from."`
	Missed    uint64    `json:"missed,omitempty" doc:"Events since the last one that was delivered that this target did not get: read the state anew."`
	Data      Event     `json:"data" doc:"The event itself."`
}

// EventWebhookTest is the type of an event that was asked for to try a target.
const EventWebhookTest = "webhook.test"
