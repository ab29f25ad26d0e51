package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/api"
	"github.com/elastipod/elastipod/cms/wire"
)

func readEntries(t *testing.T, path string) (out []api.AuditEntry) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	for line := range strings.Lines(string(data)) {
		var e api.AuditEntry
		require.NoError(t, json.Unmarshal([]byte(line), &e), "%q", line)
		out = append(out, e)
	}
	return out
}

func requestIDs(all []api.AuditEntry) (out []string) {
	for _, e := range all {
		out = append(out, e.RequestID)
	}
	return out
}

func textLog() (*slog.Logger, *bytes.Buffer) {
	var b bytes.Buffer
	return slog.New(slog.NewTextHandler(&b, nil)), &b
}

func TestAuditFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	require.NoError(t, os.WriteFile(path, []byte(`{"request_id":"0"}`+"\n"), 0o600))
	log, text := textLog()
	l, err := newAuditLog(path, log)
	require.NoError(t, err)
	e := api.AuditEntry{
		At: time.Date(2026, 11, 5, 10, 0, 0, 0, time.UTC), RequestID: "1", Source: "api", Who: "ops", Role: api.Operator, Remote: "10.0.0.7:4711",
		Method: "POST", Route: "/v1/pods/{pod}/pause", Operation: "pause-pod", Params: map[string]string{"pod": "web"}, Result: api.AuditDone, Status: 202, Seconds: 0.002,
	}
	l.tell(e)
	all := readEntries(t, path)
	require.Len(t, all, 2, "appended")
	assert.Equal(t, e, all[1])
	assert.Contains(t, text.String(), "msg=done operation=pause-pod by=ops pod=web request=1", "the log has it in short")
	assert.NotContains(t, text.String(), "10.0.0.7")

	// logrotate moves the file away: the next entry goes to a new one, for nobody
	// else to read.
	require.NoError(t, os.Rename(path, path+".1"))
	l.tell(api.AuditEntry{RequestID: "2"})
	assert.Equal(t, []string{"0", "1"}, requestIDs(readEntries(t, path+".1")))
	assert.Equal(t, []string{"2"}, requestIDs(readEntries(t, path)))
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	// It copies the file and empties it (copytruncate).
	require.NoError(t, os.Truncate(path, 0))
	l.tell(api.AuditEntry{RequestID: "3"})
	assert.Equal(t, []string{"3"}, requestIDs(readEntries(t, path)))
	told, lost := l.counts()
	assert.Equal(t, []uint64{3, 0}, []uint64{told, lost})

	// Another file, and after the end the log.
	use, err := l.change(path + ".2")
	require.NoError(t, err)
	l.tell(api.AuditEntry{RequestID: "4"})
	use()
	l.tell(api.AuditEntry{RequestID: "5"})
	assert.Equal(t, []string{"3", "4"}, requestIDs(readEntries(t, path)), "until it is put to use")
	assert.Equal(t, []string{"5"}, requestIDs(readEntries(t, path+".2")))
	_, err = l.change(filepath.Join(path, "below", "a", "file"))
	require.ErrorContains(t, err, "name a file")
	l.close()
	l.tell(api.AuditEntry{RequestID: "6", Remote: "10.0.0.8:1"})
	assert.Contains(t, text.String(), "10.0.0.8", "whole")
}

func TestAuditWithoutFile(t *testing.T) {
	log, text := textLog()
	l, err := newAuditLog("", log)
	require.NoError(t, err)
	l.tell(api.AuditEntry{Operation: "delete-pod", Who: "ops", Remote: "10.0.0.7:1", Result: api.AuditRefused, Status: 409, Error: "conflict", Fields: map[string]string{"a": "set"}})
	for _, part := range []string{"msg=refused operation=delete-pod by=ops error=conflict", "Remote:10.0.0.7:1", "Status:409", "Fields:map[a:set]"} {
		assert.Contains(t, text.String(), part)
	}
}

// A full disk costs no entry: it is in the log, and is counted. The first one
// after it begins a line of its own.
func TestAuditOnAFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	info, err := full.Stat()
	require.NoError(t, err)
	log, text := textLog()
	l := &auditLog{log: log, out: &auditFile{File: full, path: "/dev/full", info: info}}
	l.tell(api.AuditEntry{RequestID: "1", Remote: "10.0.0.7:1", Result: api.AuditDone})
	l.tell(api.AuditEntry{RequestID: "2", Remote: "10.0.0.8:1", Result: api.AuditDone})
	assert.Equal(t, 1, strings.Count(text.String(), "level=ERROR"), "told once")
	assert.Contains(t, text.String(), "no space left on device")
	assert.Contains(t, text.String(), "10.0.0.7")
	assert.Contains(t, text.String(), "10.0.0.8")
	told, lost := l.counts()
	assert.Equal(t, []uint64{2, 2}, []uint64{told, lost})

	path := filepath.Join(t.TempDir(), "a")
	require.NoError(t, os.WriteFile(path, []byte(`{"half":`), 0o600))
	next, err := openAuditFile(path)
	require.NoError(t, err)
	l.out, l.partial = next, true
	l.tell(api.AuditEntry{RequestID: "3"})
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(string(data), "{\"half\":\n{"), "%s", data)
	assert.Contains(t, text.String(), "again")
	l.close()
	full.Close()
}

func TestAuditFileMustBeOne(t *testing.T) {
	log, _ := textLog()
	for _, path := range []string{"/dev/null", t.TempDir(), filepath.Join(t.TempDir(), "nix", "a")} {
		_, err := newAuditLog(path, log)
		require.ErrorContains(t, err, "name ", path)
	}
}

// Many at once: every line is whole.
func TestAuditIsToldByMany(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	l, err := newAuditLog(path, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer l.close()
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			for j := range 50 {
				l.tell(api.AuditEntry{RequestID: fmt.Sprintf("%d-%d", i, j), Error: strings.Repeat("x", 200)})
			}
		})
	}
	all.Wait()
	assert.Len(t, readEntries(t, path), 1000)
}

func TestAuditOfTheServer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	l, err := newAuditLog(path, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer l.close()
	l.auditPod(sourceStart, "web", time.Now(), errors.New("env KEY=s3cret"))
	l.auditReload(time.Now(), []wire.ReloadChange{{Path: "log.level", From: "info", To: "debug", Applied: true}, {Path: "pods[web].drain"}}, nil)
	l.auditReload(time.Now(), nil, errors.New("s3cret"))
	all := readEntries(t, path)
	require.Len(t, all, 3)
	assert.Equal(t, []any{"start", "server", "create-pod", api.AuditFailed, "web"}, []any{all[0].Source, all[0].Who, all[0].Operation, all[0].Result, all[0].Params["pod"]})
	assert.Equal(t, map[string]string{"log.level": "set", "pods[web].drain": "left as it is"}, all[1].Fields)
	assert.Equal(t, api.AuditRefused, all[2].Result)
	data, _ := os.ReadFile(path)
	assert.NotContains(t, string(data), "s3cret")
}

// BenchmarkAuditFile is what a write costs more with a file.
func BenchmarkAuditFile(b *testing.B) {
	l, err := newAuditLog(filepath.Join(b.TempDir(), "a"), slog.New(slog.DiscardHandler))
	require.NoError(b, err)
	defer l.close()
	e := api.AuditEntry{
		At: time.Now(), RequestID: "0123456789abcdef", Source: "api", Who: "ops", Role: api.Operator, Remote: "10.0.0.7:4711", Method: "PATCH",
		Route: "/v1/pods/{pod}", Operation: "change-pod", Params: map[string]string{"pod": "web"}, Fields: map[string]string{"max_nodes": "9"}, Result: api.AuditDone, Status: 202,
	}
	for b.Loop() {
		l.tell(e)
	}
}
