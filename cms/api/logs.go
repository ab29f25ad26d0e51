package api

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/elastipod/elastipod/pod"
)

type logParams struct {
	Pod    string `path:"pod" doc:"The pod's name." example:"web"`
	Node   string `path:"node" doc:"The node's name." example:"web-1"`
	Tail   int    `query:"tail" minimum:"1" maximum:"1000000" doc:"The last so many lines only. Default: all that is kept."`
	Follow bool   `query:"follow" doc:"Go on until the node ends."`
}

func (a *API) logRoute() {
	register(a, route{
		method: http.MethodGet, path: "/v1/pods/{pod}/nodes/{node}/logs", id: "node-logs", tag: "nodes", role: Viewer, summary: "A node's output",
		description: "Standard output and standard error as they came. An answer that breaks off was not complete.",
		errors:      []int{http.StatusNotFound, http.StatusConflict}, stream: text(), streamType: "text/plain",
	}, func(ctx context.Context, in *logParams) (*raw, error) {
		ctx, end, err := a.streams.begin(ctx)
		if err != nil {
			return nil, err
		}
		handedOn := false
		defer func() {
			if !handedOn { // also of a panic: Close waits for the end
				end()
			}
		}()
		logs, err := a.m.Logs(ctx, in.Pod, in.Node, pod.LogOptions{Tail: in.Tail, Follow: in.Follow})
		if err != nil {
			return nil, a.explainNode(err, in.Pod, in.Node)
		}
		handedOn = true
		return &raw{Body: func(c huma.Context) {
			defer end()
			_, w := humago.Unwrap(c)
			a.sendLogs(ctx, w, logs)
		}}, nil
	})
}

// sendLogs copies output as it comes. It closes logs, also to end a read that
// does not look at its context.
func (a *API) sendLogs(ctx context.Context, w http.ResponseWriter, logs io.ReadCloser) {
	stop := context.AfterFunc(ctx, func() { _ = logs.Close() })
	defer func() {
		stop()
		_ = logs.Close()
	}()
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	out := newParts(w)
	if out.control.Flush() != nil {
		return
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := logs.Read(buf)
		if n > 0 && out.write(buf[:n]) != nil {
			return
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF), ctx.Err() != nil:
			return
		default:
			a.log.WarnContext(ctx, "logs broke off", "error", err)
			panic(http.ErrAbortHandler) // the only way to tell the client that something is missing
		}
	}
}

// parts sends each part of an answer at once.
type parts struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func newParts(w http.ResponseWriter) *parts {
	return &parts{w: w, control: http.NewResponseController(w)}
}

func (s *parts) write(p []byte) error {
	if _, err := s.w.Write(p); err != nil {
		return err
	}
	return s.control.Flush()
}
