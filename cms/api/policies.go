package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/elastipod/elastipod/cms/wire"
)

func (a *API) policyRoutes() {
	register(a, route{
		method: http.MethodGet, path: "/v1/policies", id: "list-policies", tag: "elasticity", role: Viewer,
		summary: "The kinds of policies that a pod's elasticity may have, and their settings",
	}, func(_ context.Context, in *pageParams) (*output[wire.List[wire.PolicyKind]], error) {
		var items []wire.PolicyKind
		for _, k := range a.m.Policies().Kinds() {
			kind := wire.PolicyKind{Kind: k.Name, Summary: k.Summary, Schema: map[string]any{}}
			if len(k.Schema) > 0 {
				if err := json.Unmarshal(k.Schema, &kind.Schema); err != nil || kind.Schema == nil {
					kind.Schema = map[string]any{} // a schema may also be true or false
				}
			}
			items = append(items, kind)
		}
		return answer(http.StatusOK, page(in.Limit, in.After, items, func(k wire.PolicyKind) string { return k.Kind })), nil
	})
}
