package api_test

import (
	"bytes"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms"
)

// lockedBuffer takes a log.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A client that goes away amid an answer is nothing that the server's log has
// to tell of.
func TestClientThatGoesAwayLeavesNoTrace(t *testing.T) {
	f := newFake()
	f.pods["web"].Problems = []cms.Problem{{Code: cms.ProblemStore, Fault: cms.Reason{Text: strings.Repeat("this is long ", 1<<20)}}}
	var told lockedBuffer
	ended := make(chan struct{})
	handler := newAPI(t, f).Handler()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		handler.ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = log.New(&told, "", 0)
	server.Start()
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).SetReadBuffer(1024))
	_, err = io.WriteString(conn, "GET /v1/pods HTTP/1.1\r\nHost: localhost\r\n\r\n")
	require.NoError(t, err)
	_, err = conn.Read(make([]byte, 10))
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).SetLinger(0))
	require.NoError(t, conn.Close())
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		require.FailNow(t, "the answer does not end")
	}
	assert.Empty(t, told.String())
}

// What panics before a stream begins is no stream that Close waits for.
func TestCloseAfterAPanicOfLogs(t *testing.T) {
	f := newFake()
	f.logs = func(context.Context) (io.ReadCloser, error) { panic("a bug") }
	a := newAPI(t, f)
	_, r := live(t, a)("/v1/pods/web/nodes/web-1/logs")
	assert.Equal(t, http.StatusInternalServerError, r.StatusCode)
	closed := make(chan error, 1)
	go func() { closed <- a.Close() }()
	select {
	case err := <-closed:
		require.NoError(t, err)
	case <-time.After(20 * time.Second):
		require.FailNow(t, "Close waits for ever")
	}
}
