package dashboard_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/heapprofiler"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/wire"
)

// How long is measured. For figures to quote, without the race detector:
//
//	go test -run TestManyPods -v ./examples/server/dashboard -watch 10m -measure 20s
var (
	watchMemory = flag.Duration("watch", 5*time.Second, "how long the page's memory is watched")
	measureFor  = flag.Duration("measure", 3*time.Second, "how long each other figure is measured")
	manyTick    = flag.Duration("many-tick", time.Second, "how often each of the 100 pods is measured")
)

// process is a server in a process of its own.
type process struct {
	url string
	pid int
}

// many starts a server with 100 pods of 20 nodes each.
func many(t *testing.T) process {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), "DASHBOARD_TEST=many", "DASHBOARD_TICK="+manyTick.String())
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		stdin.Close()
		assert.NoError(t, cmd.Wait())
	})
	address, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err, "the server did not start")
	p := process{strings.TrimSpace(address), cmd.Process.Pid}
	require.Eventually(t, func() bool {
		var c wire.Cluster
		fetch(t, p.url+"/v1/cluster", &c)
		return c.Nodes >= manyPods*manyNodes-2*wavering
	}, 90*time.Second, 200*time.Millisecond, "the nodes never were there")
	return p
}

// cpu returns the CPU time that the process used so far.
func (p process) cpu(t *testing.T) time.Duration {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(data), ") ")
	f := strings.Fields(rest)
	user, err := strconv.Atoi(f[11])
	require.NoError(t, err)
	system, err := strconv.Atoi(f[12])
	require.NoError(t, err)
	return time.Duration(user+system) * 10 * time.Millisecond
}

func fetch(t *testing.T, url string, into any) {
	t.Helper()
	r, err := http.Get(url)
	require.NoError(t, err)
	defer r.Body.Close()
	require.Equal(t, 200, r.StatusCode, url)
	require.NoError(t, json.NewDecoder(r.Body).Decode(into))
}

// measured returns Chromium's figures of the page: seconds and bytes.
func (b *browser) measured() map[string]float64 {
	b.t.Helper()
	r, err := chromedp.Call(b.ctx, performance.GetMetrics, cdp.Empty{})
	require.NoError(b.t, err)
	out := map[string]float64{}
	for _, x := range r.Metrics {
		out[x.Name] = x.Value
	}
	return out
}

// heap returns MiB after a collection of garbage.
func (b *browser) heap() float64 {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, heapprofiler.CollectGarbage, cdp.Empty{})
	require.NoError(b.t, err)
	return b.measured()["JSHeapUsedSize"] / (1 << 20)
}

func (b *browser) wait(d time.Duration) {
	b.t.Helper()
	eval[any](b, fmt.Sprintf(`new Promise(done => setTimeout(() => done(1), %d))`, d.Milliseconds()))
}

// 100 pods of 20 nodes: the page is there at once, needs little of the machine
// while everything changes each second, shows an event soon, and its memory does
// not run away; and a hundred of them are little work for the server. Each
// figure is logged; the bounds leave room for a busy machine.
func TestManyPods(t *testing.T) {
	t.Parallel()
	began := time.Now()
	server := many(t)
	t.Logf("2,000 nodes were there in %s", time.Since(began).Round(time.Millisecond))
	b := open(t, server.url)
	_, err := chromedp.Call(b.ctx, performance.Enable, performance.EnableParams{})
	require.NoError(t, err)
	b.until(`document.querySelectorAll('.card.pod').length === 100`)
	b.until(`[...document.querySelectorAll('.node-text')].filter(x => x.textContent.startsWith('20 nodes online of 20 to 20, limit 24')).length >= %s`, manyPods-wavering) // those out of sight too

	firstPaint(t, b)
	scriptTime(t, b)
	eventToPixel(t, b, server)
	streamBytes(t, server)
	b.visit("#/balancer")
	b.until(`document.querySelectorAll('.table tbody tr').length >= 2090`)
	b.visit("#/")
	b.until(`document.querySelectorAll('.card.pod').length === 100`)
	b.shot("overview-many")
	memory(t, b)
	hundredDashboards(t, server)
}

// firstPaint loads the page anew, as somebody does who opens it.
func firstPaint(t *testing.T, b *browser) {
	var first, cards []float64
	for range 3 {
		require.NoError(t, chromedp.Do(b.ctx, chromedp.Reload()))
		cards = append(cards, eval[float64](b, `new Promise(done => {
			const look = () => document.querySelectorAll('.card.pod').length < 100 ? requestAnimationFrame(look) : requestAnimationFrame(() => done(performance.now()));
			look();
		})`))
		first = append(first, eval[float64](b, `performance.getEntriesByName('first-contentful-paint')[0].startTime`))
	}
	slices.Sort(first)
	slices.Sort(cards)
	t.Logf("first paint %.0f ms, 100 cards after %.0f ms (medians of 3)", first[1], cards[1])
	assert.Less(t, first[0], float64(1000), "ms to the first paint")
}

func scriptTime(t *testing.T, b *browser) {
	b.visit("#/pods/pod-07")
	b.until(`document.querySelectorAll('.table tbody tr').length === 20`)
	b.visit("#/")
	b.wait(time.Second) // what is read once has been read
	for _, page := range []string{"#/", "#/pods/pod-07"} {
		b.visit(page)
		b.wait(time.Second)
		heap, script := b.heap(), 0.0
		for range 3 { // a busy machine makes scripts slow, but not each time
			before, began := b.measured(), time.Now()
			b.wait(*measureFor)
			after, seconds := b.measured(), time.Since(began).Seconds()
			script = (after["ScriptDuration"] - before["ScriptDuration"]) / seconds * 1000
			all := (after["TaskDuration"] - before["TaskDuration"]) / seconds * 1000
			t.Logf("%s: script %.1f ms/s, layout and painting and all %.1f ms/s, heap %.1f MiB", page, script, all, heap)
			if script < 50 {
				break
			}
		}
		assert.Less(t, script, float64(50), "%s: ms of script a second", page)
	}
}

// eventToPixel takes the time from when a tick was observed in the manager to the
// frame in which its figure stands on the page.
func eventToPixel(t *testing.T, b *browser, server process) {
	b.visit("#/")
	b.until(`document.querySelectorAll('.card.pod').length === 100`)
	eval[any](b, `(() => {
		window.shown = [];
		for (const card of [...document.querySelectorAll('.card.pod')].slice(0, 9)) {
			const pod = card.querySelector('h2').textContent;
			const value = [...card.querySelectorAll('.stat')].find((x) => x.querySelector('dt').textContent === 'In flight').querySelector('dd');
			new MutationObserver(() => {
				const text = value.textContent;
				requestAnimationFrame(() => requestAnimationFrame(() => shown.push([pod, text, Date.now()])));
			}).observe(value, { childList: true, characterData: true, subtree: true });
		}
		return 1;
	})()`)
	at := map[string]time.Time{} // by pod and figure
	r, err := http.Get(server.url + "/v1/events?types=tick")
	require.NoError(t, err)
	timer := time.AfterFunc(max(*measureFor, 4*time.Second), func() { r.Body.Close() })
	defer timer.Stop()
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		if data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: ")); ok {
			var e wire.Event
			require.NoError(t, json.Unmarshal(data, &e))
			if x := e.Tick.Sample.InFlight; x != nil {
				at[e.Pod+" "+grouped(*x)] = e.At
			}
		}
	}
	var took []float64
	for _, s := range eval[[][]any](b, `window.shown`) {
		if when, ok := at[s[0].(string)+" "+s[1].(string)]; ok {
			took = append(took, s[2].(float64)-float64(when.UnixMicro())/1000)
		}
	}
	slices.Sort(took)
	require.Greater(t, len(took), 10, "readings that were seen")
	median, p95 := took[len(took)/2], took[len(took)*95/100]
	t.Logf("event to pixel: median %.0f ms, p95 %.0f ms, of %d", median, p95, len(took))
	assert.Less(t, took[len(took)/10], float64(1000), "ms that one in ten readings took: more is not the machine's fault")
}

// grouped writes a whole number as the page does.
func grouped(x float64) string {
	s := strconv.Itoa(int(x))
	if len(s) > 3 {
		s = s[:len(s)-3] + "," + s[len(s)-3:]
	}
	return s
}

// The query with which the page follows the events.
const pageEvents = "/v1/events?ticks=true&brief=true&after=0"

func streamBytes(t *testing.T, server process) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.url+pageEvents, nil)
	require.NoError(t, err)
	req.Header.Set("Accept-Encoding", "identity")
	r, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(t, err)
	defer r.Body.Close()
	var n atomic.Int64
	var reading sync.WaitGroup
	reading.Go(func() {
		buffer := make([]byte, 64<<10)
		for {
			m, err := r.Body.Read(buffer)
			n.Add(int64(m))
			if err != nil {
				return
			}
		}
	})
	time.Sleep(time.Second) // what is kept comes first
	before, began := n.Load(), time.Now()
	time.Sleep(*measureFor)
	perSecond := float64(n.Load()-before) / time.Since(began).Seconds()
	r.Body.Close()
	reading.Wait()
	t.Logf("event stream: %.1f kB/s", perSecond/1000)
	assert.Positive(t, perSecond)
	assert.Less(t, perSecond, float64(300e3)/manyTick.Seconds(), "bytes a second")
}

// memory watches the heap while a pod's page and the overview are open in turns.
// What is drawn goes back five minutes, so that it may grow for so long; after
// that it has to stay.
func memory(t *testing.T, b *browser) {
	const parts = 5
	var heap []float64
	for range parts {
		for _, page := range []string{"#/pods/pod-07", "#/"} {
			b.visit(page)
			b.wait(*watchMemory / parts / 2)
		}
		heap = append(heap, b.heap())
	}
	var words []string
	for _, x := range heap {
		words = append(words, fmt.Sprintf("%.1f", x))
	}
	nodes := b.measured()["Nodes"]
	t.Logf("heap each %s: %s MiB; %.0f DOM nodes", *watchMemory/parts, strings.Join(words, " "), nodes)
	grown := heap[parts-1] - heap[0]
	most := 1 + 8*min(1, watchMemory.Minutes()/5.5) // MiB
	assert.Less(t, grown, most, "MiB that the heap grew by")
	if *watchMemory >= 10*time.Minute {
		half := slices.Max(heap[parts/2+1:]) - slices.Min(heap[parts/2+1:])
		assert.Less(t, half, 2.0, "MiB by which the heap differs in the second half")
	}
}

// hundredDashboards takes the server's CPU time while a hundred pages are open:
// each follows the events and asks for what a page asks for.
func hundredDashboards(t *testing.T, server process) {
	const pages = 100
	idle, began := server.cpu(t), time.Now()
	time.Sleep(*measureFor)
	alone := (server.cpu(t) - idle).Seconds() / time.Since(began).Seconds()

	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 3 * pages}}
	defer client.CloseIdleConnections()
	stop := make(chan struct{})
	var bytes, failed atomic.Int64
	ask := func(path string) {
		r, err := client.Get(server.url + path)
		if err != nil {
			failed.Add(1)
			return
		}
		n, _ := io.Copy(io.Discard, r.Body)
		r.Body.Close()
		bytes.Add(n)
	}
	var ended atomic.Int64 // streams, before they should
	var streams []io.Closer
	var open, loaded sync.WaitGroup
	loaded.Add(pages)
	for i := range pages {
		r, err := client.Get(server.url + pageEvents)
		require.NoError(t, err)
		streams = append(streams, r.Body)
		open.Go(func() {
			buffer := make([]byte, 64<<10)
			for {
				n, err := r.Body.Read(buffer)
				bytes.Add(int64(n))
				if err != nil {
					select {
					case <-stop:
					default:
						ended.Add(1)
					}
					return
				}
			}
		})
		open.Go(func() {
			for _, path := range []string{"/v1/cluster", "/v1/pods", "/v1/hosts"} {
				ask(path)
			}
			loaded.Done()
			tick := time.NewTicker(5 * time.Second)
			defer tick.Stop()
			first := time.After(time.Duration(i) * 5 * time.Second / pages)
			for {
				select {
				case <-stop:
					return
				case <-first:
				case <-tick.C:
				}
				ask("/v1/cluster")
				ask("/v1/hosts")
			}
		})
	}
	loaded.Wait()
	time.Sleep(max(time.Second, *measureFor/2)) // the events that are kept have been read
	used, sent, began := server.cpu(t), bytes.Load(), time.Now()
	time.Sleep(*measureFor)
	seconds := time.Since(began).Seconds()
	with := (server.cpu(t) - used).Seconds() / seconds
	t.Logf("server CPU: %.1f %% of a core alone, %.1f %% with %d dashboards, which get %.1f MB/s together; %d were too slow", alone*100, with*100, pages, float64(bytes.Load()-sent)/seconds/1e6, ended.Load())
	close(stop)
	for _, s := range streams {
		s.Close()
	}
	open.Wait()
	assert.Zero(t, failed.Load(), "requests that failed")
}
