package workload

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/docker/go-units"
)

// MaxFaultMemory bounds what a fault allocates, in bytes.
const MaxFaultMemory = 4 << 30

// fault is how the program misbehaves on demand, so that one can see what the
// manager does about it.
type fault struct {
	mu     sync.Mutex
	status int // of /healthz; 0: 200
	delay  time.Duration
	hoard  [][]byte
}

// now returns how to misbehave now.
func (f *fault) now() (status int, delay time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status, f.delay
}

// begin changes how the program misbehaves, or ends it.
func (h *handler) begin(w http.ResponseWriter, r *http.Request) {
	status, delay, code, memory, err := wanted(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	h.fault.mu.Lock()
	if status != 0 {
		h.fault.status = status
	}
	if delay >= 0 {
		h.fault.delay = delay
	}
	h.fault.mu.Unlock()
	w.WriteHeader(http.StatusAccepted)
	_ = http.NewResponseController(w).Flush()
	if memory > 0 {
		h.fault.allocate(memory)
	}
	if code >= 0 {
		os.Exit(code) // at once, whatever runs
	}
}

// wanted reads what a request asks for; delay and code are -1 where it does not
// name them.
func wanted(q url.Values) (status int, delay time.Duration, code int, memory int64, err error) {
	delay, code = -1, -1
	var errs []error
	for name := range q {
		text := q.Get(name)
		ok := false
		allowed := ""
		switch name {
		case "status":
			allowed = "200 to 599"
			status, err = strconv.Atoi(text)
			ok = err == nil && status >= 200 && status <= 599
		case "delay":
			allowed = "0s to " + MaxSleep.String()
			delay, err = time.ParseDuration(text)
			ok = err == nil && delay >= 0 && delay <= MaxSleep
		case "exit":
			allowed = "0 to 125"
			code, err = strconv.Atoi(text)
			ok = err == nil && code >= 0 && code <= 125
		case "memory":
			allowed = "an amount such as 512MiB, up to 4GiB"
			memory, err = units.RAMInBytes(text)
			ok = err == nil && memory >= 0 && memory <= MaxFaultMemory
		default:
			allowed = "status, delay, exit or memory instead"
		}
		if !ok {
			errs = append(errs, fmt.Errorf("%s: use %s", name, allowed))
		}
	}
	return status, delay, code, memory, errors.Join(errs...)
}

// allocate uses this much memory for good.
func (f *fault) allocate(n int64) {
	const piece = 1 << 20
	for ; n > 0; n -= piece {
		b := make([]byte, piece)
		for i := 0; i < len(b); i += os.Getpagesize() {
			b[i] = 1 // memory that nobody wrote to is not used
		}
		f.mu.Lock()
		f.hoard = append(f.hoard, b)
		f.mu.Unlock()
	}
}

// check asks the workload beside it, on its first port, whether it is well, as a
// HEALTHCHECK does.
func check(ctx context.Context, s settings) error {
	host := s.bind
	if host == "" {
		host = "127.0.0.1"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, s.ports[0])+"/healthz", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("/healthz answered %s", resp.Status)
	}
	return nil
}
