package api_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/api"
	"github.com/elastipod/elastipod/cms/wire"
)

const octets = wire.BackupType

func TestBackup(t *testing.T) {
	f := newFake()
	var told []api.AuditEntry
	a := newAPI(t, f, func(c *api.Config) { c.Audit = func(e api.AuditEntry) { told = append(told, e) } })
	r := call(t, a, "GET", "/v1/backup", nil)
	require.Equal(t, 200, r.StatusCode)
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	assert.Equal(t, "the backup", string(body))
	assert.Regexp(t, `^attachment; filename="elastipod-[a-z]+-\d{8}T\d{6}Z\.db"$`, r.Header.Get("Content-Disposition"))
	assert.Equal(t, "no-store", r.Header.Get("Cache-Control"))
	require.Len(t, told, 1, "who took a backup is told: it holds what workloads keep secret")
	assert.Equal(t, "backup", told[0].Operation)
	assert.Equal(t, "GET", told[0].Method)
	assert.Equal(t, api.AuditDone, told[0].Result)

	f.fail["Backup"] = fmt.Errorf("%w: this store cannot be copied", cms.ErrConflict)
	assert.Equal(t, 409, problemOf(t, call(t, a, "GET", "/v1/backup", nil)).Status)
	assert.Len(t, told, 2)
}

func TestRestore(t *testing.T) {
	f := newFake()
	var told []api.AuditEntry
	a := newAPI(t, f, func(c *api.Config) { c.Audit = func(e api.AuditEntry) { told = append(told, e) } })
	big := strings.Repeat("x", 3<<20) // more than other bodies may have
	r := call(t, a, "POST", "/v1/restore?any_cluster=true", big, "Content-Type", octets)
	require.Equal(t, 200, r.StatusCode)
	assert.Equal(t, wire.Restore{
		Kept: "store.before", Hosts: []string{}, Created: []string{"api"}, Updated: []string{}, Deleted: []string{}, Unchanged: []string{},
		Problems: []string{"host far: does not answer"},
	}, read[wire.Restore](t, r))
	require.Len(t, told, 1)
	assert.Equal(t, "restore", told[0].Operation)
	assert.Equal(t, map[string]string{"any_cluster": "true"}, told[0].Query)
	assert.Empty(t, told[0].Fields)

	for _, c := range []struct {
		err    error
		status int
		says   string
	}{
		{fmt.Errorf("read a backup: %w: its checksum is wrong", cms.ErrStoreCorrupt), 422, "nothing was changed"},
		{fmt.Errorf("read a backup: %w", cms.ErrStoreVersion), 422, "another version"},
		{&cms.Refusal{Kind: cms.ErrStoreVersion, Text: "nothing was changed: it is of version 4"}, 422, "of version 4"},
		{&cms.Refusal{Kind: cms.ErrConflict, Text: "the backup is of another cluster"}, 409, "another cluster"},
		{cms.Faults{{Path: "pods[web].max_nodes", Problem: "is bad"}}, 422, "pods[web].max_nodes"},
		{fmt.Errorf("keep a copy: %w", cms.ErrStoreFull), 507, "try again"},
		{cms.ErrNotRunning, 503, "try again"},
		{fmt.Errorf("read a backup: %w", &http.MaxBytesError{Limit: 1}), 413, "too large"},
		{fmt.Errorf("read a backup: %w", os.ErrDeadlineExceeded), 408, "faster"},
		{fmt.Errorf("read a backup: %w", io.ErrUnexpectedEOF), 400, "broke off"},
	} {
		f.fail["Restore"] = c.err
		p := problemOf(t, call(t, a, "POST", "/v1/restore", "x", "Content-Type", octets))
		assert.Equal(t, c.status, p.Status, "%v", c.err)
		assert.Contains(t, p.Detail, c.says)
	}
	f.fail["Restore"] = errors.New("must not be called")
	assert.Equal(t, 415, problemOf(t, call(t, a, "POST", "/v1/restore", "{}")).Status)
}
