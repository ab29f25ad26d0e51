package webhook_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/elastipod/elastipod/cms/wire"
)

// Receiver takes messages: it verifies each, drops repeats, and says in time that
// it has it.
type Receiver struct {
	verify *standardwebhooks.Webhook
	todo   chan wire.WebhookMessage

	mu   sync.Mutex
	seen map[string]bool // a real one forgets ids after a day
}

// region: receiver

// ServeHTTP answers 204 to what it has, 401 to what is not signed, and 503 where
// it has no room: that is sent again.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, 1<<20))
	if err != nil || r.verify.Verify(body, req.Header) != nil {
		http.Error(w, "not signed by the server", http.StatusUnauthorized)
		return
	}
	var m wire.WebhookMessage
	if err := json.Unmarshal(body, &m); err != nil {
		http.Error(w, "not a message", http.StatusBadRequest)
		return
	}
	id := req.Header.Get("webhook-id")
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.seen[id] {
		select {
		case r.todo <- m:
			r.seen[id] = true
		default:
			http.Error(w, "too much to do", http.StatusServiceUnavailable)
			return
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// end

// A receiver verifies with the library of the specification, of which there is
// one for most languages.
func Example_receiver() {
	const secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=" // a real one comes from a file
	verify, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		panic(err)
	}
	r := &Receiver{verify: verify, todo: make(chan wire.WebhookMessage, 100), seen: map[string]bool{}}

	// What the server would send, twice, and what somebody else would.
	body := `{"type":"pod.scaled","timestamp":"2026-11-05T10:00:00Z","cluster":"prod","data":{"id":17,"at":"2026-11-05T10:00:00Z","type":"pod.scaled","pod":"web","message":"3 to 4: CPU 91 % is above 70 %"}}`
	now := time.Now()
	signature, err := verify.Sign("YDNX-17-chat", now, []byte(body))
	if err != nil {
		panic(err)
	}
	for _, s := range []string{signature, signature, "v1,bm90IGEgc2lnbmF0dXJl"} {
		req := httptest.NewRequest(http.MethodPost, "/elastipod", strings.NewReader(body))
		req.Header.Set("webhook-id", "YDNX-17-chat")
		req.Header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
		req.Header.Set("webhook-signature", s)
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		fmt.Println(w.Code)
	}
	close(r.todo)
	for m := range r.todo {
		fmt.Println(m.Cluster, m.Data.Pod, m.Data.Message)
	}
	// Output:
	// 204
	// 204
	// 401
	// prod web 3 to 4: CPU 91 % is above 70 %
}
