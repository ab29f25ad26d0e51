package dashboard_test

import (
	"encoding/json"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/wire"
)

// A policy of each kind that the server knows is chosen and set in the panel, one
// that wraps others too, and one that tells nothing about itself as JSON.
func TestPolicyOfEachKind(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.api("POST", "/v1/cluster/init", "", nil)
	s.api("PATCH", "/v1/pods/shop/elasticity", `{"enabled":true,"min":1,"max":4}`, nil)
	b := open(t, s.url+"/#/pods/shop")
	b.signIn(operator)
	b.sees("tbody .badge.online", "")
	policy := func() string {
		t.Helper()
		b.press("button", "Apply")
		b.until(`!document.querySelector('.policy-form')`)
		var e wire.Elasticity
		s.api("GET", "/v1/pods/shop/elasticity", "", &e)
		return e.Policy.String()
	}
	change := func() { t.Helper(); b.press("button", "Change"); b.sees("#policy-0-kind", "") }

	change()
	b.put("#policy-0-kind", "target")
	b.put("#policy-0-metric", "cpu")
	b.put("#policy-0-value", "0.5")
	b.sees(".line.drag", "Target")
	b.put("#policy-0-metric", "rate")
	b.until(`!document.querySelector('.line.drag.target')`)
	b.put("#policy-0-tolerance", "140")
	b.text("#policy-0-tolerance-error", "has to be below 100 %")
	b.press("button", "Apply")
	b.until(`document.activeElement.id === 'policy-0-tolerance'`)
	b.put("#policy-0-tolerance", "20")
	b.put("#policy-0-value", "50")
	b.text(".preview", "inside of the bounds")
	assert.JSONEq(t, `{"kind":"target","metric":"rate","value":50,"tolerance":0.2}`, policy())
	b.text("section p", "1 to 4 nodes by target: keep requests a second of a node near 50.")

	// Wrapped, and wrapped again; what is dragged is the innermost.
	change()
	b.put("#policy-0-kind", "cooldown")
	b.put("#policy-0-up", "5s")
	b.put("#policy-0-down", "30s")
	b.put("#policy-1-kind", "step-limit")
	b.put("#policy-1-up", "3")
	b.put("#policy-1-down", "1")
	b.put("#policy-1-period", "15s")
	b.put("#policy-2-kind", "stabilize")
	b.put("#policy-2-down", "20s")
	b.put("#policy-3-kind", "clamp")
	b.put("#policy-4-kind", "threshold")
	b.put("#policy-4-step", "2")
	eval[any](b, "(() => { "+find+".focus(); return 1 })()", ".line.drag", "Upper threshold", "Upper threshold")
	b.do(chromedp.KeyEvent("\u0304")) // arrow up
	b.until(`document.querySelector('#policy-4-upper').value === '71'`)
	b.shot("policy-nested")
	assert.JSONEq(t, `{"kind":"cooldown","up":"5s","down":"30s","policy":{"kind":"step-limit","up":3,"down":1,"period":"15s","policy":`+
		`{"kind":"stabilize","down":"20s","policy":{"kind":"clamp","policy":{"kind":"threshold","lower":0.3,"upper":0.71,"step":2}}}}}`, dropDefaults(t, policy()))

	// Unwrapped: what was inside stays. What is emptied gets its default.
	change()
	b.put("#policy-4-step", "")
	b.put("#policy-0-kind", "threshold")
	assert.JSONEq(t, `{"kind":"threshold","lower":0.3,"upper":0.71}`, dropDefaults(t, policy()))

	// A kind without a schema.
	change()
	b.put("#policy-0-kind", "own")
	b.put("#policy-0-json", `{"lower": 0.2`)
	b.until(`document.querySelector('#policy-0-json-error').textContent !== ''`)
	b.put("#policy-0-json", `{"lower": 0.2, "upper": 0.9}`)
	assert.JSONEq(t, `{"kind":"own","lower":0.2,"upper":0.9}`, policy())

	// Dry run, and what the API refuses in its words.
	change()
	b.put("#el-mode", "dry-run")
	b.put("#policy-0-kind", "cooldown")
	b.put("#policy-0-up", "soon")
	b.press("button", "Apply")
	b.text(".panel ul.error li", "policy.up")
	b.put("#policy-0-up", "")
	policy()
	b.sees(".note", "Dry run: decisions are recorded and not carried out.")
	assert.Equal(t, 1, b.expect("422"), "the browser tells of the refused request")
}

// dropDefaults takes away what a policy says though it need not.
func dropDefaults(t *testing.T, policy string) string {
	t.Helper()
	var p map[string]any
	require.NoError(t, json.Unmarshal([]byte(policy), &p))
	for q := p; q != nil; q, _ = q["policy"].(map[string]any) {
		for name, usual := range map[string]any{"metric": "cpu", "step": 1.0, "up": "0s", "down": "0s", "period": "0s"} {
			if q[name] == usual {
				delete(q, name)
			}
		}
	}
	out, err := json.Marshal(p)
	require.NoError(t, err)
	return string(out)
}
