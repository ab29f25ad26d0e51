package workload

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/net/websocket"
)

// handler answers requests and uses CPU time.
type handler struct {
	settings
	ids *seen
	// cores bounds how many requests burn at a time: more would only take
	// turns, each with a thread of its own.
	cores chan struct{}
	id    *regexp.Regexp
	fault fault
	warm  time.Time // from when on it is well
}

func newHandler(s settings, ids *seen) http.Handler {
	h := &handler{
		settings: s, ids: ids,
		cores: make(chan struct{}, runtime.GOMAXPROCS(0)),
		id:    regexp.MustCompile(`^[A-Za-z0-9._:/+=-]{1,128}$`),
		warm:  time.Now().Add(s.warmUp),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", h.work)
	mux.HandleFunc("/work", h.work)
	mux.HandleFunc("/seen", h.seen)
	mux.HandleFunc("/healthz", h.health)
	mux.Handle("/ws", websocket.Server{Handler: h.echo}) // whatever its Origin
	if s.faults {
		mux.HandleFunc("POST /fault", h.begin)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Node", h.node)
		if _, delay := h.fault.now(); r.URL.Path != "/fault" && !h.wait(r.Context(), delay) {
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// echo sends the node's name, and then back what comes, until the client ends.
func (h *handler) echo(ws *websocket.Conn) {
	if websocket.Message.Send(ws, h.node) == nil {
		_, _ = io.Copy(ws, ws)
	}
}

func (h *handler) health(w http.ResponseWriter, _ *http.Request) {
	if status, _ := h.fault.now(); status != 0 && status != http.StatusOK {
		http.Error(w, "told to be unwell", status)
		return
	}
	if left := time.Until(h.warm); left > 0 {
		http.Error(w, fmt.Sprintf("warming up for another %s", left.Round(time.Millisecond)), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (h *handler) work(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	cpu, sleep := h.cpu, time.Duration(0)
	if r.URL.Path == "/work" {
		cpu = 0
	}
	for _, p := range []struct {
		name  string
		value *time.Duration
		most  time.Duration
	}{{"cpu", &cpu, MaxCPU}, {"sleep", &sleep, MaxSleep}} {
		text := q.Get(p.name)
		if text == "" {
			continue
		}
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 || d > p.most {
			http.Error(w, fmt.Sprintf("%s: use 0s to %s, such as %s=20ms", p.name, p.most, p.name), http.StatusBadRequest)
			return
		}
		*p.value = d
	}
	id := r.Header.Get("X-Request-Id")
	if id == "" {
		id = q.Get("id")
	}
	if id != "" && !h.id.MatchString(id) {
		http.Error(w, "id: use 1 to 128 letters, digits and . _ : / + = -", http.StatusBadRequest)
		return
	}
	if err := h.ids.add(id); err != nil {
		http.Error(w, "the id could not be written down: "+err.Error(), http.StatusInternalServerError)
		return
	}
	if id != "" {
		w.Header().Set("X-Request-Id", id)
	}
	if !h.wait(r.Context(), sleep) || !h.burn(r.Context(), cpu) {
		return // the client is gone
	}
	fmt.Fprintf(w, "%s from %s\n", h.kind, h.node)
}

// burn uses this much CPU time on this goroutine's thread; false when ctx ended
// before.
func (h *handler) burn(ctx context.Context, cpu time.Duration) bool {
	if cpu == 0 {
		return true
	}
	select {
	case h.cores <- struct{}{}:
		defer func() { <-h.cores }()
	case <-ctx.Done():
		return false
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	x := 1.0
	for until := threadTime() + cpu; threadTime() < until; {
		for range 20_000 { // some 20 µs
			x = x*1.0000001 + 1
		}
		if ctx.Err() != nil {
			return false
		}
	}
	return x != 0 // so that the arithmetic is not left out
}

func (h *handler) wait(ctx context.Context, d time.Duration) bool {
	if d == 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Seen is the answer of /seen, of one Node.
type Seen struct {
	Node string `json:"node"`
	// Requests counts those to / and /work, Count those of them that had an id.
	Requests uint64 `json:"requests"`
	Count    uint64 `json:"count"`
	// Lost is how many ids after "since" are not kept any more.
	Lost uint64 `json:"lost"`
	// IDs are in the order of their arrival, at most [MaxSeen] of them.
	IDs []string `json:"ids"`
	// Next is the "since" that continues.
	Next uint64 `json:"next"`
}

func (h *handler) seen(w http.ResponseWriter, r *http.Request) {
	var since uint64
	if text := r.URL.Query().Get("since"); text != "" {
		var err error
		if since, err = strconv.ParseUint(text, 10, 64); err != nil {
			http.Error(w, `since: use the "next" of the answer before, or 0`, http.StatusBadRequest)
			return
		}
	}
	out := h.ids.since(since)
	out.Node = h.node
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out)
}
