package api

import (
	"context"
	"net/http"

	"github.com/elastipod/elastipod/cms/wire"
)

func (a *API) whoamiRoutes() {
	register(a, route{
		method: http.MethodGet, path: "/v1/whoami", id: "who-am-i", tag: "cluster", role: Viewer, early: true,
		summary:     "Who asks, and what they may do",
		description: "Also answered while the server starts. Without a token where one is needed: 401.",
	}, func(ctx context.Context, _ *noInput) (*output[wire.WhoAmI], error) {
		token, signedIn := ctx.Value(tokenKey{}).(tokenHash)
		if !signedIn {
			return answer(http.StatusOK, wire.WhoAmI{Role: string(Operator)}), nil
		}
		return answer(http.StatusOK, wire.WhoAmI{Name: token.name, Role: string(token.role), SignIn: true}), nil
	})
}
