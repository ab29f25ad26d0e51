package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/elastipod/elastipod/cms/client"
	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/elastic"
)

// parsePolicy reads a policy: as JSON, or as it is printed, such as
// "target metric=cpu value=0.6" or "cooldown down=60s of (threshold lower=0.3 upper=0.7)".
func parsePolicy(text string) (json.RawMessage, error) {
	text = strings.TrimSpace(text)
	if json.Valid([]byte(text)) && strings.HasPrefix(text, "{") {
		return json.RawMessage(text), nil
	}
	policy, err := parseShortPolicy(text)
	if err != nil {
		return nil, usagef(`--policy %q: %w; use JSON, or a kind and its settings, such as "target metric=cpu value=0.6"`, text, err)
	}
	return json.Marshal(policy)
}

func parseShortPolicy(text string) (map[string]any, error) {
	own, inner, wraps := strings.Cut(text, " of (")
	words := strings.Fields(own)
	if len(words) == 0 || strings.ContainsAny(words[0], `={["`) {
		return nil, fmt.Errorf("it does not begin with a kind")
	}
	policy := map[string]any{"kind": words[0]}
	for _, word := range words[1:] {
		key, value, ok := strings.Cut(word, "=")
		if !ok || key == "" || value == "" {
			return nil, fmt.Errorf("%q is not KEY=VALUE", word)
		}
		if _, twice := policy[key]; twice {
			return nil, fmt.Errorf("%q is there twice", key)
		}
		policy[key] = value
		if json.Valid([]byte(value)) { // a number, true or a list
			policy[key] = json.RawMessage(value)
		}
	}
	if wraps {
		inner, ok := strings.CutSuffix(strings.TrimSpace(inner), ")")
		if !ok {
			return nil, fmt.Errorf("a bracket is not closed")
		}
		wrapped, err := parseShortPolicy(inner)
		if err != nil {
			return nil, err
		}
		policy["policy"] = wrapped
	}
	return policy, nil
}

// policyKinds lists the kinds that the server knows, or, where it does not tell,
// those that come with elastipod.
func policyKinds(ctx context.Context, c *client.Client, _ []string) ([]cobra.Completion, error) {
	kinds, err := c.Policies(ctx)
	if err != nil {
		return namesOf(elastic.NewRegistry().Kinds(), func(k elastic.Kind) string { return cobra.CompletionWithDesc(k.Name, k.Summary) }), nil
	}
	return namesOf(kinds, func(k wire.PolicyKind) string { return cobra.CompletionWithDesc(k.Kind, k.Summary) }), nil
}
