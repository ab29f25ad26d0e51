package api

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/internal/strict"
)

// eventBuffer is how many events a client may be behind before its stream ends
// and it has to resume.
const eventBuffer = 1024

type eventParams struct {
	Types       []string `query:"types" doc:"Only these types, such as pod.scaled, or whole families, such as node. Default: every type but tick."`
	Pod         string   `query:"pod" maxLength:"100" doc:"Only events of this pod."`
	Ticks       bool     `query:"ticks" doc:"Also every turn of the pods' loops; the same as naming the type tick too."`
	Brief       bool     `query:"brief" doc:"Ticks without observation and decision: only the reason and the sample."`
	After       string   `query:"after" maxLength:"20" doc:"Begin after the event with this id; 0: with the oldest that is kept. Default: only new events."`
	LastEventID string   `header:"Last-Event-ID" maxLength:"20" doc:"Goes before the parameter after; browsers send it to resume."`
}

func (a *API) eventRoutes() {
	register(a, route{
		method: http.MethodGet, path: "/v1/events", id: "stream-events", tag: "cluster", role: Viewer, summary: "What happens, as server-sent events",
		description: "Each event has its type as event, its id as id, and data as in the schema. Ids survive a restart of the server; ticks have none. " +
			"To resume, send the last id as Last-Event-ID. An event of type reset says that events in between are not kept any more: read the state anew. " +
			"The stream of a client that is too slow ends, and it resumes.",
		stream: &huma.MediaType{Schema: schemaOf[wire.Event](a.schemas)}, streamType: "text/event-stream",
	}, func(ctx context.Context, in *eventParams) (*raw, error) {
		wanted, err := a.eventFilter(in)
		if err != nil {
			return nil, err
		}
		after, err := a.eventStart(in)
		if err != nil {
			return nil, err
		}
		ctx, end, err := a.streams.begin(ctx)
		if err != nil {
			return nil, err
		}
		return &raw{Body: func(c huma.Context) {
			defer end()
			_, w := humago.Unwrap(c)
			a.sendEvents(ctx, w, after, in.Brief, wanted)
		}}, nil
	})
}

// eventFilter returns which events the client wants. A reset concerns everybody.
func (a *API) eventFilter(in *eventParams) (func(cms.Event) bool, error) {
	types := map[cms.EventType]bool{}
	var known []string
	for _, t := range cms.EventTypes() {
		known = append(known, string(t))
		if family, _, ok := strings.Cut(string(t), "."); ok {
			known = append(known, family)
		}
		types[t] = len(in.Types) == 0 && t != cms.EventTick
	}
	known = slices.Compact(slices.Sorted(slices.Values(known)))
	var f cms.Faults
	for _, name := range in.Types {
		if !slices.Contains(known, name) {
			f.Add("types", strict.Suggest(name, known), "%.40q is unknown", name)
		}
		for _, t := range cms.EventTypes() {
			if string(t) == name || strings.HasPrefix(string(t), name+".") {
				types[t] = true
			}
		}
	}
	if err := f.Err(); err != nil {
		return nil, err
	}
	types[cms.EventTick] = types[cms.EventTick] || in.Ticks
	types[cms.EventReset] = true
	return func(e cms.Event) bool {
		known, ok := types[e.Type]
		if !ok { // a type that is newer than this list
			known = len(in.Types) == 0
		}
		return known && (in.Pod == "" || in.Pod == e.Pod || e.Type == cms.EventReset)
	}, nil
}

// eventStart returns the id after which the stream begins.
func (a *API) eventStart(in *eventParams) (uint64, error) {
	name, text := "Last-Event-ID", in.LastEventID
	if text == "" {
		name, text = "after", in.After
	}
	if text == "" {
		return max(a.m.NextEvent(), 1) - 1, nil
	}
	id, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, invalidField(name, "use the id of an event, a number", "%.20q is not one", text)
	}
	return id, nil
}

func (a *API) sendEvents(ctx context.Context, w http.ResponseWriter, after uint64, brief bool, wanted func(cms.Event) bool) {
	sub := a.subscribe(after, eventBuffer)
	defer sub.Close()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // of nginx, which would hold events back
	out := newParts(w)
	position := after // what the client should resume after
	told := after
	if out.write(append([]byte("retry: 1000\n"), positionText(position)...)) != nil {
		return
	}
	for {
		e, err := a.nextEvent(ctx, sub)
		switch {
		case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
			// A sign of life, and where to resume: what was left out counts.
			beat := []byte(": still here\n\n")
			if position != told {
				beat, told = append(beat, positionText(position)...), position
			}
			if out.write(beat) != nil {
				return
			}
			continue
		case err != nil:
			return
		}
		if e.ID > 0 {
			position = e.ID
		}
		if !wanted(e) {
			continue
		}
		if out.write(a.streams.texts.of(e, brief)) != nil {
			return
		}
		told = position
	}
}

// nextEvent waits no longer than for a heartbeat.
func (a *API) nextEvent(ctx context.Context, sub subscription) (cms.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, a.cfg.Heartbeat)
	defer cancel()
	return sub.Next(ctx)
}

// positionText is an event without data: browsers show it to nobody, but remember
// its id.
func positionText(id uint64) []byte {
	return []byte("id: " + strconv.FormatUint(id, 10) + "\n\n")
}

func eventText(e wire.Event) []byte {
	var b bytes.Buffer
	if e.ID > 0 {
		b.WriteString("id: " + strconv.FormatUint(e.ID, 10) + "\n")
	}
	b.WriteString("event: " + e.Type + "\ndata: ")
	b.Write(mustJSON(e))
	b.WriteString("\n\n")
	return b.Bytes()
}
