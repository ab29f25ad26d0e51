package serve

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"
)

// logs is what is written of the log, and in which form; both may be changed
// while the server runs.
type logs struct {
	level slog.LevelVar
	json  atomic.Bool
}

func (l *logs) set(json bool, level slog.Level) {
	l.json.Store(json)
	l.level.Set(level)
}

// handler writes to w.
func (l *logs) handler(w io.Writer) slog.Handler {
	o := &slog.HandlerOptions{Level: &l.level}
	return &logHandler{logs: l, text: slog.NewTextHandler(w, o), json: slog.NewJSONHandler(w, o)}
}

// logHandler has a handler of each form, and chooses one for each line.
type logHandler struct {
	logs       *logs
	text, json slog.Handler
}

func (h *logHandler) now() slog.Handler {
	if h.logs.json.Load() {
		return h.json
	}
	return h.text
}

func (h *logHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.logs.level.Level()
}

func (h *logHandler) Handle(ctx context.Context, r slog.Record) error { return h.now().Handle(ctx, r) }

func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &logHandler{h.logs, h.text.WithAttrs(attrs), h.json.WithAttrs(attrs)}
}

func (h *logHandler) WithGroup(name string) slog.Handler {
	return &logHandler{h.logs, h.text.WithGroup(name), h.json.WithGroup(name)}
}
