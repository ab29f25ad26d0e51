package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/elastic"
)

func (a *API) policyRoutes() {
	register(a, route{
		method: http.MethodGet, path: "/v1/policies", id: "list-policies", tag: "elasticity", role: Viewer,
		summary: "The kinds of policies that a pod's elasticity may have, and their settings",
	}, func(_ context.Context, in *pageParams) (*output[wire.List[wire.PolicyKind]], error) {
		items := each(a.m.Policies().Kinds(), func(k elastic.Kind) wire.PolicyKind {
			kind := wire.PolicyKind{Kind: k.Name, Summary: k.Summary, Schema: map[string]any{}}
			_ = json.Unmarshal(k.Schema, &kind.Schema) // a schema is empty, or an object: Register sees to that
			return kind
		})
		return answer(http.StatusOK, page(in.Limit, in.After, items, func(k wire.PolicyKind) string { return k.Kind })), nil
	})
}
