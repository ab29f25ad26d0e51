package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/wire"
)

const (
	// maxBackup is the most bytes that a backup may have which is restored.
	maxBackup = 256 << 20
	// backupTimeout bounds the reading of one.
	backupTimeout = 5 * time.Minute
	backupPath    = "/v1/backup"
)

type restoreParams struct {
	DryRun     bool `query:"dry_run" doc:"Only tell what would be done."`
	AnyCluster bool `query:"any_cluster" doc:"The backup may be of another cluster."`
}

func binary() *huma.Schema { return &huma.Schema{Type: huma.TypeString, Format: "binary"} }

func (a *API) backupRoutes() {
	register(a, route{
		method: http.MethodGet, path: backupPath, id: "backup", tag: "service", role: Operator, summary: "A backup of the store",
		description: "A consistent copy of the server's store, taken while everything goes on: a file of its own, which may be put in place of a lost one " +
			"while the server is stopped, or given to /v1/restore. It holds the environment of workloads, so keep it as you keep secrets. The audit is told of it.",
		errors: []int{http.StatusConflict}, stream: &huma.MediaType{Schema: binary()}, streamType: wire.BackupType,
	}, func(ctx context.Context, _ *noInput) (*raw, error) {
		var b bytes.Buffer // whole, before the first byte of the answer
		if err := a.m.Backup(ctx, &b); err != nil {
			return nil, err
		}
		name := fmt.Sprintf("elastipod-%s-%s.db", a.m.Cluster().Name, time.Now().UTC().Format("20060102T150405Z"))
		return &raw{Body: func(c huma.Context) {
			_, w := humago.Unwrap(c)
			h := w.Header()
			h.Set("Content-Type", wire.BackupType)
			h.Set("Content-Disposition", "attachment; filename="+strconv.Quote(name))
			h.Set("Content-Length", strconv.Itoa(b.Len()))
			h.Set("Cache-Control", "no-store")
			_, _ = b.WriteTo(w) // the client may have gone
		}}, nil
	})
	register(a, route{
		method: http.MethodPost, path: "/v1/restore", id: "restore", tag: "service", role: Operator, summary: "Restore a backup",
		description: "Makes pods and hosts be as in a backup, while everything goes on: a pod that is in both is changed to what it was, as its update says; " +
			"one that is only in the backup is created; one that is not in it is drained and deleted. Nodes stay those that run, and a pod that scales by itself keeps " +
			"its number inside the bounds of then. Hosts that are not in the backup stay. All of the backup is checked before anything is changed, and a copy of " +
			"the store as it was is kept beside it.",
		errors: []int{http.StatusConflict, http.StatusBadRequest, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType},
		upload: wire.BackupType,
	}, func(ctx context.Context, in *restoreParams) (*output[wire.Restore], error) {
		r, err := a.m.Restore(ctx, uploadOf(ctx), cms.RestoreOptions{AnyCluster: in.AnyCluster, DryRun: in.DryRun})
		if err != nil {
			return nil, a.restoreProblem(ctx, err)
		}
		return answer(http.StatusOK, wire.Restore{
			DryRun: in.DryRun, Kept: r.Kept, Hosts: notNil(r.Hosts), Created: notNil(r.Created), Updated: notNil(r.Updated),
			Deleted: notNil(r.Deleted), Unchanged: notNil(r.Unchanged), Problems: notNil(r.Problems),
		}), nil
	})
}

// restoreProblem says what is wrong with a backup, which is no fault of the
// server.
func (a *API) restoreProblem(ctx context.Context, err error) error {
	var refusal *cms.Refusal
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return newProblem(http.StatusRequestEntityTooLarge, "the backup is too large; send at most %d bytes", maxBackup).header("Connection", "close")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return newProblem(http.StatusRequestTimeout, "the backup did not come within %s; send it faster", backupTimeout).header("Connection", "close")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return newProblem(http.StatusBadRequest, "the backup broke off; send it anew").header("Connection", "close")
	case errors.Is(err, cms.ErrStoreCorrupt), errors.Is(err, cms.ErrStoreVersion):
		p := newProblem(http.StatusUnprocessableEntity, "nothing was changed: this is no backup, or a damaged one; send a file as GET /v1/backup answers with")
		switch {
		case errors.As(err, &refusal):
			p.detail = refusal.Text
			return p
		case errors.Is(err, cms.ErrStoreVersion):
			p.detail = "nothing was changed: another version of elastipod wrote this backup; restore it with that version"
		}
		a.logHidden(ctx, slog.LevelWarn, err)
		return p
	}
	return err
}

type uploadKey struct{}

// uploadOf returns the body that openUpload left to be read.
func uploadOf(ctx context.Context) io.Reader {
	r, _ := ctx.Value(uploadKey{}).(io.Reader)
	return r
}

// openUpload leaves a body of that media type to the operation, bounded in size
// and time.
func (a *API) openUpload(media string) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		r, w := humago.Unwrap(ctx)
		switch {
		case r.Header.Get("Content-Type") != media:
			newProblem(http.StatusUnsupportedMediaType, "the Content-Type %.80q is not read here; send a backup with the header Content-Type: %s",
				r.Header.Get("Content-Type"), media).write(w, r)
			return
		case r.ContentLength > maxBackup:
			newProblem(http.StatusRequestEntityTooLarge, "the backup is too large; send at most %d bytes", maxBackup).header("Connection", "close").write(w, r)
			return
		}
		control := http.NewResponseController(w)
		_ = control.SetReadDeadline(time.Now().Add(backupTimeout)) // see boundBody
		body := &upload{Reader: http.MaxBytesReader(w, r.Body, maxBackup), read: func() { _ = control.SetReadDeadline(time.Time{}) }}
		next(huma.WithValue(ctx, uploadKey{}, body))
	}
}

// upload ends the bound in time when all of it is read.
type upload struct {
	io.Reader
	read func()
}

func (u *upload) Read(p []byte) (int, error) {
	n, err := u.Reader.Read(p)
	if err == io.EOF {
		u.read()
	}
	return n, err
}
