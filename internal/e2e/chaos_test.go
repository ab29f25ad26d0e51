//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/elastipod/elastipod/internal/openloop"
)

// rounds returns how often a fault is injected: few times in the end-to-end
// tests, many in the long run (CHAOS=long).
func rounds(short, long int) int {
	if os.Getenv("CHAOS") == "long" {
		return long
	}
	return short
}

// faults are the rows of the table that ends the run, in the order in which they
// began.
var faults struct {
	sync.Mutex
	rows []*fault
}

// fault is a row of the table: what a fault that was caused for real did.
type fault struct {
	t    *testing.T
	name string

	mu         sync.Mutex
	injected   int
	sent       int
	idempotent int // failed requests of methods that may be sent again
	other      int // failed requests of other methods
	cut        int // failed requests that are a named exception, and not among these
	recoveries []time.Duration
	leaks      int
}

// newFault begins a row.
func newFault(t *testing.T, name string) *fault {
	f := &fault{t: t, name: name}
	faults.Lock()
	defer faults.Unlock()
	faults.rows = append(faults.rows, f)
	return f
}

// inject causes the fault once more.
func (f *fault) inject(cause func()) {
	f.t.Helper()
	f.mu.Lock()
	f.injected++
	f.mu.Unlock()
	cause()
}

// recovered notes how long it took until all was as it should be.
func (f *fault) recovered(took time.Duration) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.recoveries = append(f.recoveries, took)
	f.t.Logf("%s: recovered after %s", f.name, took.Round(time.Millisecond))
}

// leaked counts things that were left behind.
func (f *fault) leaked(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leaks += n
}

// load is that of the service, whose requests are counted here, too.
func (f *fault) load(v *service, c openloop.Config) (wait func() openloop.Result) {
	return f.loadWith(v, c, func(openloop.Outcome) bool { return false })
}

// loadWith is load where failures that are a named exception of the promise are
// counted apart.
func (f *fault) loadWith(v *service, c openloop.Config, excepted func(openloop.Outcome) bool) (wait func() openloop.Result) {
	f.t.Helper()
	end := v.load(f.t, c)
	return func() openloop.Result {
		f.t.Helper()
		r := end()
		f.mu.Lock()
		defer f.mu.Unlock()
		f.sent += r.Sent
		failed := r.Sent - r.OK
		for _, o := range r.Failures {
			if excepted(o) {
				f.cut++
				failed--
			}
		}
		if mayBeSentAgain(c.Method) {
			f.idempotent += failed
		} else {
			f.other += failed
		}
		return r
	}
}

// mayBeSentAgain says whether a request of that method does the same when it
// runs twice. [service.load] sends POST where nothing else is asked for.
func mayBeSentAgain(method string) bool {
	return slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodOptions}, method)
}

// writeFaults prints the table; nothing where no fault was caused.
func writeFaults(w io.Writer) {
	faults.Lock()
	defer faults.Unlock()
	if len(faults.rows) == 0 {
		return
	}
	tw := tabwriter.NewWriter(w, 0, 0, 1, ' ', tabwriter.Debug)
	fmt.Fprintln(tw, "fault\t injected\t requests\t failed, idempotent\t failed, other\t cut, as excepted\t recovery, median\t recovery, worst\t leaked")
	for _, f := range faults.rows {
		f.mu.Lock()
		median, worst := "-", "-"
		if n := len(f.recoveries); n > 0 {
			slices.Sort(f.recoveries)
			median, worst = seconds(f.recoveries[n/2]), seconds(f.recoveries[n-1])
		}
		fmt.Fprintf(tw, "%s\t %d\t %d\t %d\t %d\t %d\t %s\t %s\t %d\n", f.name, f.injected, f.sent, f.idempotent, f.other, f.cut, median, worst, f.leaks)
		f.mu.Unlock()
	}
	_ = tw.Flush()
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
