package serve

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/elastipod/elastipod/cms/api"
	"github.com/elastipod/elastipod/cms/wire"
)

// Sources of writes that do not come through the API.
const (
	sourceStart  = "start"  // pods of the configuration
	sourceReload = "reload" // a configuration that was read anew
	whoServer    = "server"
)

// auditLog writes an entry for each write: to a file as lines of JSON, or to the
// log. What cannot be written to the file goes to the log.
//
// Each line is one write to the file's end and is not synced: a crash of the
// server loses none, one of the machine the last seconds.
type auditLog struct {
	log *slog.Logger

	mu      sync.Mutex
	out     *auditFile // nil: to the log
	partial bool       // the last line was written in part
	failing bool
	told    uint64
	lost    uint64
}

// auditFile is a file and which one it was when it was opened.
type auditFile struct {
	*os.File
	path string
	info os.FileInfo
}

func openAuditFile(path string) (*auditFile, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("audit: %s is no regular file; name one, or leave audit.file out to have the entries in the log", path)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("audit: %s; name a file in a directory that the server may write to", plainError(err))
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("audit: %w", err)
	}
	return &auditFile{File: f, path: path, info: info}, nil
}

// moved says whether the path leads elsewhere by now, as after logrotate.
func (f *auditFile) moved() bool {
	info, err := os.Stat(f.path)
	return err != nil || !os.SameFile(info, f.info)
}

// newAuditLog opens the file; "" is the log.
func newAuditLog(path string, log *slog.Logger) (*auditLog, error) {
	l := &auditLog{log: log}
	use, err := l.change(path)
	if err != nil {
		return nil, err
	}
	use()
	return l, nil
}

// change opens another file; what it returns puts it to use and cannot fail.
func (l *auditLog) change(path string) (use func(), err error) {
	var next *auditFile
	if path != "" {
		if next, err = openAuditFile(path); err != nil {
			return nil, err
		}
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.closeLocked()
		l.out = next
	}, nil
}

func (l *auditLog) closeLocked() {
	if l.out != nil {
		_ = l.out.Close() // every line was written already
	}
	l.out, l.partial = nil, false
}

// close closes the file; later entries go to the log.
func (l *auditLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closeLocked()
}

// counts returns how many entries there were, and how many the file did not get.
func (l *auditLog) counts() (told, lost uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.told, l.lost
}

// tell writes an entry. It is what the API calls, and never fails.
func (l *auditLog) tell(e api.AuditEntry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told++
	if l.out == nil {
		l.line(e, true)
		return
	}
	err := l.write(e)
	if err != nil {
		l.lost++
		if !l.failing {
			l.log.Error("audit: entries cannot be written to the file and are in the log", "file", l.out.path, "error", plainError(err))
		}
	} else if l.failing {
		l.log.Info("audit: entries are written to the file again", "file", l.out.path, "lost", l.lost)
	}
	l.failing = err != nil
	l.line(e, err != nil)
}

// write appends a line, to a new file where the old one was moved away.
func (l *auditLog) write(e api.AuditEntry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if l.out.moved() {
		next, err := openAuditFile(l.out.path)
		if err != nil {
			return err
		}
		l.closeLocked()
		l.out = next
	}
	line = append(line, '\n')
	if l.partial {
		line = append([]byte{'\n'}, line...) // the broken line ends here
	}
	n, err := l.out.Write(line)
	if err != nil {
		l.partial = l.partial || n > 0
		return err
	}
	l.partial = false
	return nil
}

// line leaves a line in the log, whole or in short.
func (l *auditLog) line(e api.AuditEntry, whole bool) {
	args := []any{"operation", e.Operation, "by", e.Who}
	for name, value := range e.Params {
		args = append(args, name, value)
	}
	if e.RequestID != "" {
		args = append(args, "request", e.RequestID)
	}
	if e.Error != "" {
		args = append(args, "error", e.Error)
	}
	if whole {
		args = append(args, "audit", e)
	}
	l.log.Info(string(e.Result), args...)
}

// auditPod tells of a pod of the configuration that was created, or was not.
func (l *auditLog) auditPod(source, pod string, began time.Time, err error) {
	e := api.AuditEntry{
		At: began, Source: source, Who: whoServer, Operation: "create-pod", Params: map[string]string{"pod": pod},
		Result: api.AuditDone, Seconds: time.Since(began).Seconds(),
	}
	if err != nil {
		e.Result, e.Error = api.AuditFailed, "the log says why"
	}
	l.tell(e)
}

// auditReload tells of a configuration that was read anew.
func (l *auditLog) auditReload(began time.Time, changed []wire.ReloadChange, err error) {
	e := api.AuditEntry{At: began, Source: sourceReload, Who: whoServer, Operation: "reload", Result: api.AuditDone, Seconds: time.Since(began).Seconds()}
	for _, c := range changed {
		if e.Fields == nil {
			e.Fields = map[string]string{}
		}
		e.Fields[c.Path] = "set"
		if !c.Applied {
			e.Fields[c.Path] = "left as it is"
		}
	}
	if err != nil {
		e.Result, e.Error = api.AuditRefused, "the configuration stays as it was; the log says why"
	}
	l.tell(e)
}
