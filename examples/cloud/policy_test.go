package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/elastic"
)

// What is printed of a policy can be given back.
func TestPoliciesAsTheyArePrinted(t *testing.T) {
	for text, raw := range map[string]string{
		"threshold lower=0.3 upper=0.7":               `{"kind":"threshold","lower":0.3,"upper":0.7}`,
		"threshold lower=0.1 metric=memory upper=0.9": `{"kind":"threshold","metric":"memory","lower":0.1,"upper":0.9}`,
		"target metric=in_flight value=1000000":       `{"kind":"target","metric":"in_flight","value":1e6}`,
		"cooldown down=1m up=2s of (stabilize down=5m of (target metric=cpu value=0.6))": `{"kind":"cooldown","up":"2s","down":"1m",` +
			`"policy":{"kind":"stabilize","down":"5m","policy":{"kind":"target","metric":"cpu","value":0.6}}}`,
	} {
		r := elastic.NewRegistry()
		want, err := r.Canonical(json.RawMessage(raw))
		require.NoError(t, err)
		for _, given := range []string{text, raw, "  " + text + " ", policyText(wire.Policy(want))} {
			parsed, err := parsePolicy(given)
			require.NoError(t, err, given)
			got, err := r.Canonical(parsed)
			require.NoError(t, err, given)
			assert.JSONEq(t, string(want), string(got), given)
		}
	}
}

func TestPoliciesThatAreNone(t *testing.T) {
	for text, why := range map[string]string{
		"":                              "does not begin with a kind",
		"{":                             "does not begin with a kind",
		"[1]":                           "does not begin with a kind",
		"lower=0.3":                     "does not begin with a kind",
		"threshold lower":               `"lower" is not KEY=VALUE`,
		"threshold lower=":              `"lower=" is not KEY=VALUE`,
		"threshold lower=0.1 lower=0.2": `"lower" is there twice`,
		"threshold kind=target":         `"kind" is there twice`,
		"cooldown up=1s of (target":     "a bracket is not closed",
		"cooldown of ()":                "does not begin with a kind",
	} {
		_, err := parsePolicy(text)
		require.ErrorContains(t, err, why, text)
		assert.ErrorAs(t, err, new(usageError), text)
	}
}
