package api

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/elastipod/elastipod/cms"
)

// Subscription is what SetSubscribe's function returns.
type Subscription interface {
	Next(ctx context.Context) (cms.Event, error)
	Close()
}

// SetSubscribe replaces the manager's stream of events.
func (a *API) SetSubscribe(f func(after uint64, buffer int) Subscription) {
	a.subscribe = func(after uint64, buffer int) subscription { return f(after, buffer) }
}

// OpenAPI returns the document as it was made, with its schemas.
func (a *API) OpenAPI() *huma.OpenAPI { return a.huma.OpenAPI() }

// Served returns every pattern that has a handler.
func (a *API) Served() []string { return a.served }

var (
	MergePatch  = mergePatch
	OperationAt = operationAt
	ParseObject = func(data []byte) (map[string]any, error) { return orNil(parseObject(data)) }
)

func orNil(object map[string]any, p *problem) (map[string]any, error) {
	if p != nil {
		return nil, p
	}
	return object, nil
}

// EventTexts is what keeps the texts of events.
type EventTexts struct{ t eventTexts }

func (e *EventTexts) Of(x cms.Event, brief bool) []byte { return e.t.of(x, brief) }
func (e *EventTexts) Len() int                          { return len(e.t.kept) }

// Judge is told that a wrong token came from an address; Guessers returns how
// many addresses are remembered.
func (a *API) Judge(remote string) { a.guesses.judge(remote, time.Now(), tokenHash{}, false) }

func (a *API) Guessers() int { return a.guesses.recent.Len() }

// ForgetGuesses lets every address off.
func (a *API) ForgetGuesses() { a.guesses = newGuesses() }
