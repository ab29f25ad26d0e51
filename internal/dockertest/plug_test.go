package dockertest_test

import (
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/internal/dockertest"
)

// A machine that is unplugged answers nothing: no new connection, and none that
// was there, which goes on when it is plugged in again.
func TestUnpluggedMachineIsSilent(t *testing.T) {
	e := launch(t, dockertest.Options{Remote: true, TLS: true})
	e.BuildScratch(t, "app", dockertest.GoBinary(t, "./testdata/app"))
	_, url := serve(t, e)
	answers(t, url)
	addr := strings.TrimPrefix(url, "http://")
	kept, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer kept.Close()
	_, err = e.Knocks(t.Context())
	require.Error(t, err, "nobody counts")

	require.NoError(t, e.Unplug(t.Context()))
	require.NoError(t, e.Unplug(t.Context()), "twice")
	for _, to := range []string{addr, strings.TrimPrefix(e.TCP, "tcp://")} {
		_, err = net.DialTimeout("tcp", to, 300*time.Millisecond)
		require.True(t, os.IsTimeout(err), "nobody says that %s is gone: %v", to, err)
	}
	_, err = io.WriteString(kept, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	require.NoError(t, err)
	require.NoError(t, kept.SetReadDeadline(time.Now().Add(300*time.Millisecond)))
	_, err = kept.Read(make([]byte, 1))
	require.True(t, os.IsTimeout(err), "%v", err)
	n, err := e.Knocks(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 1, n, "the one that was tried")
	assert.NoError(t, ping(t, client.WithHost(e.Address())), "by its socket")

	require.NoError(t, e.Plug(t.Context()))
	require.NoError(t, e.Plug(t.Context()), "twice")
	answers(t, url)
	require.NoError(t, kept.SetReadDeadline(time.Now().Add(10*time.Second)))
	status := make([]byte, 12)
	_, err = io.ReadFull(kept, status)
	require.NoError(t, err)
	assert.Equal(t, "HTTP/1.1 200", string(status))
	assert.NoError(t, ping(t, client.WithHost(e.TCP), client.WithTLSClientConfig(e.TLS.CA, e.TLS.Cert, e.TLS.Key)))
}

func TestUnpluggedMachineLeavesNothing(t *testing.T) {
	e := launch(t, dockertest.Options{Remote: true})
	require.NoError(t, e.Unplug(t.Context()))
	require.NoError(t, e.Close())
	assert.Empty(t, traces(t, e))
}

func TestLocalEngineHasNoPlug(t *testing.T) {
	e := launch(t, dockertest.Options{})
	require.ErrorContains(t, e.Unplug(t.Context()), "Options.Remote")
}
