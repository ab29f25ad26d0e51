package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/elastipod/elastipod/cms/wire"
)

// ReloadFunc reads the server's configuration anew and, unless dryRun, puts it
// in force: all of it or nothing. What differs is in the answer, secrets as
// "(secret)". Where the answer has differences that need a restart it has
// changed nothing, and the API answers 409. An error also says that nothing has
// changed: [cms.Faults] with everything that is wrong with the configuration, or
// why it could not be put in force.
type ReloadFunc func(ctx context.Context, dryRun bool) (wire.Reload, error)

type reloadParams struct {
	DryRun bool `query:"dry_run" doc:"Only tell what differs."`
}

func (a *API) reloadRoute() {
	register(a, route{
		method: http.MethodPost, path: "/v1/reload", id: "reload", tag: "service", role: Operator,
		summary: "Read the configuration anew",
		description: "Reads the server's configuration and puts it in force, all of it or nothing, and answers with what differs; SIGHUP does the same. " +
			"A configuration with faults is refused with 422 and all of them; one with a difference that needs a restart with 409.",
		errors: []int{http.StatusConflict, http.StatusNotImplemented},
	}, func(ctx context.Context, in *reloadParams) (*output[wire.Reload], error) {
		if a.cfg.Reload == nil {
			return nil, newProblem(http.StatusNotImplemented, "this server has no configuration that it could read anew; restart it with other settings")
		}
		out, err := a.cfg.Reload(ctx, in.DryRun)
		if err != nil {
			return nil, err
		}
		out.Changed, out.NeedsRestart = notNil(out.Changed), notNil(out.NeedsRestart)
		if len(out.NeedsRestart) > 0 && !in.DryRun {
			return nil, needsRestart(out.NeedsRestart)
		}
		return answer(http.StatusOK, out), nil
	})
}

// needsRestart refuses a reload.
func needsRestart(changes []wire.ReloadChange) *problem {
	p := newProblem(http.StatusConflict, "")
	paths := make([]string, len(changes))
	for i, c := range changes {
		paths[i] = c.Path
		allowed := c.Note
		if allowed == "" {
			allowed = "restart the server, or take the change back"
		}
		p.faults = append(p.faults, wire.Fault{
			Path: c.Path, Problem: fmt.Sprintf("a running server cannot change it from %s to %s", c.From, c.To), Allowed: allowed,
		})
	}
	p.detail = "nothing was changed: a restart is needed for " + strings.Join(paths, ", ") + "; restart the server, or take these changes back and reload"
	return p
}
