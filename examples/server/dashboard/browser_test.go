package dashboard_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// shots is where pictures of the pages are kept; it is not part of the repository.
const shots = "../../../.test/dashboard"

// chromium is started once for all tests, each of which has its own profile in it.
var chromium struct {
	once sync.Once
	ctx  context.Context
	err  error
	stop func()
}

// startChromium starts Chromium where it was not yet.
func startChromium() (context.Context, error) {
	chromium.once.Do(func() {
		path, err := exec.LookPath("chromium")
		if err != nil {
			chromium.err = fmt.Errorf("this test needs Chromium: install the Debian package chromium: %w", err)
			return
		}
		options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.ExecPath(path))
		allocator, cancelAllocator := chromedp.NewExecAllocator(context.Background(), options...)
		ctx, cancel := chromedp.NewContext(allocator)
		chromium.ctx, chromium.err = ctx, chromedp.Do(ctx)
		chromium.stop = func() {
			_ = chromedp.Cancel(ctx)
			cancel()
			cancelAllocator()
		}
	})
	return chromium.ctx, chromium.err
}

// browser is a page with a profile of its own.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	messages []string
	hosts    map[string]bool
	urls     []string
}

// open opens the page. At the end of the test, nothing must have been wrong in its
// console, and no request must have left for another host.
func open(t *testing.T, address string) *browser {
	t.Helper()
	shared, err := startChromium()
	require.NoError(t, err)
	ctx, cancel := chromedp.NewContext(shared, chromedp.WithNewBrowserContext())
	b := &browser{t: t, ctx: ctx, hosts: map[string]bool{}}
	var readers sync.WaitGroup
	t.Cleanup(func() {
		if t.Failed() {
			b.shot("failed-" + strings.ReplaceAll(t.Name(), "/", "-"))
		}
		_ = chromedp.Cancel(ctx)
		cancel()
		readers.Wait()
		b.mu.Lock()
		defer b.mu.Unlock()
		assert.Empty(t, b.messages, "the browser's console")
		for host := range b.hosts {
			assert.Equal(t, "127.0.0.1", host, "a request left the host")
		}
		for _, u := range b.urls {
			assert.NotContains(t, u, operator, "a token in an address")
			assert.NotContains(t, u, viewer, "a token in an address")
		}
	})
	b.size(1400, 900)
	_, err = chromedp.Call(ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	require.NoError(t, err)
	_, err = chromedp.Call(ctx, network.Enable, network.EnableParams{})
	require.NoError(t, err)
	console, requests := chromedp.Console(ctx), chromedp.Events(ctx, network.RequestWillBeSent)
	readers.Go(func() {
		for m, err := range console {
			if err != nil {
				return
			}
			if strings.Contains(m.Text, "net::ERR_NETWORK_CHANGED") {
				continue // another program made or removed a network interface; the page tries again
			}
			if m.Type == "error" || m.Type == "warning" || m.Type == chromedp.ConsoleException {
				b.mu.Lock()
				b.messages = append(b.messages, fmt.Sprintf("%s: %s %s:%d", m.Type, m.Text, m.URL, m.Line))
				b.mu.Unlock()
			}
		}
	})
	readers.Go(func() {
		for e, err := range requests {
			if err != nil {
				return
			}
			if u, err := url.Parse(e.Request.URL); err == nil && u.Scheme != "data" {
				b.mu.Lock()
				b.hosts[u.Hostname()] = true
				b.urls = append(b.urls, e.Request.URL)
				b.mu.Unlock()
			}
		}
	})
	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(address)))
	return b
}

// expect takes messages of the console that hold a text off the list of what is
// wrong, and returns how many there were. It waits a while for the first: the
// console may tell of something after the page does.
func (b *browser) expect(text string) (n int) {
	for deadline := time.Now().Add(10 * time.Second); n == 0 && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		n = b.take(text)
	}
	return n
}

func (b *browser) take(text string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	var rest []string
	for _, m := range b.messages {
		if !strings.Contains(m, text) {
			rest = append(rest, m)
		}
	}
	n := len(b.messages) - len(rest)
	b.messages = rest
	return n
}

func (b *browser) size(width, height int64) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.ctx, chromedp.EmulateViewport(width, height)))
}

// theme makes the system light or dark.
func (b *browser) theme(name string) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
	})
	require.NoError(b.t, err)
}

func eval[T any](b *browser, js string, args ...any) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](fill(js, args), chromedp.EvalAwaitPromise))
	require.NoError(b.t, err, js)
	return v
}

// fill puts JSON in the place of each %s.
func fill(js string, args []any) string {
	for _, a := range args {
		data, _ := json.Marshal(a)
		js = strings.Replace(js, "%s", string(data), 1)
	}
	return js
}

// until waits for an expression to be true.
func (b *browser) until(js string, args ...any) {
	b.t.Helper()
	js = fill(js, args)
	deadline := time.Now().Add(20 * time.Second)
	for time.Now().Before(deadline) {
		ok, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("Boolean("+js+")"))
		if err == nil && ok {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	b.t.Fatalf("never: %s\nthe page says:\n%s", js, eval[string](b, `document.body.innerText`))
}

// seen is an expression: a visible element that matches and, where there is a
// text, is named so.
const find = `[...document.querySelectorAll(%s)].find(x => x.checkVisibility() && (%s === '' || (x.getAttribute('aria-label') ?? x.textContent).trim() === %s))`

func (b *browser) sees(selector, name string) { b.t.Helper(); b.until(find, selector, name, name) }

func (b *browser) has(selector, name string) bool {
	b.t.Helper()
	return eval[bool](b, "Boolean("+find+")", selector, name, name)
}

// place is an expression: where the middle of an element is, once it is enabled
// and nothing covers it; null before.
const place = `(() => {
	const x = ` + find + `
	if (!x || x.disabled) return null
	x.scrollIntoView({block: 'center'})
	const r = x.getBoundingClientRect(), at = [r.x + r.width / 2, r.y + r.height / 2]
	return x.contains(document.elementFromPoint(...at)) ? at : null
})()`

// press clicks with the mouse, once the element is there, enabled, and stays where
// it is: what is above it may still be growing.
func (b *browser) press(selector, name string) {
	b.t.Helper()
	var before []float64
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		at := eval[[]float64](b, place, selector, name, name)
		if at != nil && slices.Equal(at, before) {
			require.NoError(b.t, chromedp.Do(b.ctx, chromedp.MouseClickXY(at[0], at[1])))
			return
		}
		before = at
	}
	b.t.Fatalf("never to be pressed: %s %q\nthe page says:\n%s", selector, name, eval[string](b, `document.body.innerText`))
}

// write puts a text into a field, as keys do.
func (b *browser) write(selector, text string) {
	b.t.Helper()
	b.sees(selector, "")
	eval[any](b, `(() => { const x = document.querySelector(%s); x.focus(); x.select?.(); return 1 })()`, selector)
	require.NoError(b.t, chromedp.Do(b.ctx, chromedp.KeyEvent(text)))
}

// signIn waits for the page to be live.
func (b *browser) signIn(token string) {
	b.t.Helper()
	b.write("#token", token)
	b.press("button", "Sign in")
	b.until(`document.querySelector('#connection').dataset.state === 'live'`)
}

// visit goes to a page by its address, without a reload.
func (b *browser) visit(hash string) {
	b.t.Helper()
	eval[any](b, `(() => { location.hash = %s; return 1 })()`, hash)
}

// shot keeps a picture of the whole page.
func (b *browser) shot(name string) {
	_, _ = chromedp.Run(b.ctx, chromedp.Evaluate[chromedp.Void](`document.querySelector('dialog') ?? window.scrollTo(0, 0)`)) // what sticks to the top is at the top
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if !assert.NoError(b.t, err) {
		return
	}
	assert.NoError(b.t, os.MkdirAll(shots, 0o755))
	assert.NoError(b.t, os.WriteFile(filepath.Join(shots, name+".png"), png, 0o644))
}
