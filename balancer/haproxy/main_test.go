package haproxy

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/elastipod/elastipod/balancer"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("HAPROXY_TEST_MANAGER"); dir != "" {
		helperManager(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// testDir is short enough for sockets. Whatever HAProxy still runs for it when
// the test is over is ended.
func testDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "ep")
	require.NoError(t, err)
	t.Cleanup(func() {
		b, err := New(Config{Dir: dir})
		if assert.NoError(t, err, "open for the clean-up") {
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			defer cancel()
			assert.NoError(t, b.Shutdown(ctx))
			assert.Zero(t, b.PID())
			assert.NoError(t, b.Close())
		} else if st, err := (Config{Dir: dir}).loadState(); err == nil {
			assert.NoError(t, st.Master.signal(syscall.SIGKILL), "leave no HAProxy behind")
		}
		if t.Failed() {
			out, _ := os.ReadFile(filepath.Join(dir, outputFile))
			if len(out) > 4000 {
				out = out[len(out)-4000:]
			}
			t.Logf("HAProxy said:\n%s", out)
		}
		assert.NoError(t, os.RemoveAll(dir))
	})
	return dir
}

func testConfig(t testing.TB, dir string) Config {
	c := Config{Dir: dir}
	if os.Getenv("HAPROXY_TEST_LOG") != "" {
		c.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	return c
}

// openBalancer opens a balancer that is closed, and whose HAProxy is ended, when
// the test is over. It fails without HAProxy, naming Debian's package.
func openBalancer(t testing.TB) *Balancer {
	t.Helper()
	return reopenBalancer(t, testDir(t))
}

func reopenBalancer(t testing.TB, dir string) *Balancer {
	t.Helper()
	b, err := New(testConfig(t, dir))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

func ctxFor(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func setFront(t testing.TB, b *Balancer, f balancer.Front) {
	t.Helper()
	require.NoError(t, b.SetFront(ctxFor(t), f))
}

func apply(t testing.TB, b *Balancer, front string, want ...balancer.Server) {
	t.Helper()
	require.NoError(t, b.Apply(ctxFor(t), front, want))
}

func observe(t testing.TB, b *Balancer, front string) balancer.FrontStats {
	t.Helper()
	st, err := b.Observe(ctxFor(t))
	require.NoError(t, err)
	f, ok := st.Front(front)
	require.True(t, ok, "front %s", front)
	return f
}
