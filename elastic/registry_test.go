package elastic_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/elastic"
)

func TestParse(t *testing.T) {
	threshold := elastic.Threshold{Lower: 0.3, Upper: 0.7}
	for _, c := range []struct {
		raw  string
		want elastic.Policy
	}{
		{`{"kind":"threshold","lower":0.3,"upper":0.7}`, threshold},
		{`{"kind":"threshold","metric":"memory","lower":0,"upper":1,"step":3}`, elastic.Threshold{Metric: elastic.MetricMemory, Upper: 1, Step: 3}},
		{`{"kind":"threshold","lower":0.6,"upper":0.7}`, elastic.Threshold{Lower: 0.6, Upper: 0.7}},
		{`{"kind":"target","metric":"in_flight","value":10}`, elastic.Target{Metric: elastic.MetricInFlight, Value: 10}},
		{`{"kind":"target","metric":"cpu","value":1,"tolerance":0.2}`, elastic.Target{Metric: elastic.MetricCPU, Value: 1, Tolerance: 0.2}},
		{`{"kind":"target","metric":"rate","value":50,"tolerance":0}`, elastic.Target{Metric: elastic.MetricRate, Value: 50, Tolerance: -1}},
		{`{"kind":"clamp","policy":{"kind":"threshold","lower":0.3,"upper":0.7}}`, &elastic.Clamp{Policy: threshold}},
		{`{"kind":"cooldown","down":"60s","policy":{"kind":"threshold","lower":0.3,"upper":0.7}}`, &elastic.Cooldown{Down: time.Minute, Policy: threshold}},
		{`{"kind":"stabilize","up":"5s","down":"5m","policy":{"kind":"threshold","lower":0.3,"upper":0.7}}`, &elastic.Stabilize{Up: 5 * time.Second, Down: 5 * time.Minute, Policy: threshold}},
		{`{"kind":"step-limit","up":4,"down":1,"period":"15s","policy":{"kind":"threshold","lower":0.3,"upper":0.7}}`, &elastic.StepLimit{Up: 4, Down: 1, Period: 15 * time.Second, Policy: threshold}},
	} {
		p, err := elastic.NewRegistry().Parse(json.RawMessage(c.raw))
		require.NoError(t, err, c.raw)
		assert.Equal(t, c.want, p, c.raw)

		written, err := json.Marshal(p)
		require.NoError(t, err, c.raw)
		assert.JSONEq(t, strings.Replace(c.raw, "60s", "1m", 1), string(written), "what was read is written")
	}
}

func TestParseFaults(t *testing.T) {
	for _, c := range []struct {
		raw  string
		want []string // path: problem; allowed
	}{
		{``, []string{`is not JSON: it ends in the middle`}},
		{`{"kind":"threshold"`, []string{`is not JSON: it ends in the middle`}},
		{`{"kind":"threshold","lower":0.3,"upper":0.7}{}`, []string{`is not JSON: something follows`}},
		{`[]`, []string{`[] is not an object`}},
		{`null`, []string{`null is not an object`}},
		{`{}`, []string{`kind: is missing; use "clamp", "cooldown", "stabilize", "step-limit", "target" or "threshold"`}},
		{`{"kind":5}`, []string{`kind: is the number 5; use "clamp"`}},
		{`{"kind":null}`, []string{`kind: is null`}},
		{`{"kind":"treshold","lower":0.3,"upper":0.7}`, []string{`kind: "treshold" is unknown; did you mean "threshold"?`}},
		{`{"kind":"Threshold","lower":0.3,"upper":0.7}`, []string{`did you mean "threshold"?`}},
		{`{"kind":"ml"}`, []string{`kind: "ml" is unknown; use`}},
		{`{"kind":"threshold"}`, []string{`lower: is missing; use a number`, `upper: is missing`}},
		{`{"kind":"threshold","lower":0.3,"upper":0.7,"kind":"target"}`, []string{`kind: is given twice`}},
		{`{"kind":"threshold","lower":"0.3","upper":0.7}`, []string{`lower: is the string "0.3"; use a number`}},
		{`{"kind":"threshold","lower":30,"upper":70}`, []string{`lower: 30 is out of range; use a fraction`, `upper: 70 is out of range`}},
		{`{"kind":"threshold","lower":-0.1,"upper":0.7}`, []string{`lower: -0.1 is out of range`}},
		{`{"kind":"threshold","lower":0.3,"upper":0.35}`, []string{`upper: 0.35 is too close to lower 0.3; use an upper threshold that is at least 0.1 above`}},
		{`{"kind":"threshold","lower":0.7,"upper":0.3}`, []string{`upper: 0.3 is too close to lower 0.7`}},
		{`{"kind":"threshold","lower":0.3,"upper":0.7,"step":0}`, []string{`step: 0 is out of range`}},
		{`{"kind":"threshold","lower":0.3,"upper":0.7,"step":1.5}`, []string{`step: is the number 1.5; use a whole number`}},
		{`{"kind":"threshold","lower":0.3,"upper":0.7,"step":-1}`, []string{`step: -1 is out of range; use 1 to 1000`}},
		{`{"kind":"threshold","lower":0.3,"upper":0.7,"metric":"rate"}`, []string{`metric: "rate" has no thresholds; use "cpu" or "memory"`}},
		{`{"kind":"threshold","lower":0.3,"upper":0.7,"metric":""}`, []string{`metric: is empty`}},
		{`{"kind":"threshold","lower":0.3,"upper":0.7,"metric":null}`, []string{`metric: is null; use a string, or leave it out`}},
		{`{"kind":"threshold","lower":0.3,"uper":0.7}`, []string{`uper: is unknown; did you mean "upper"?`, `upper: is missing`}},
		{`{"kind":"threshold","Lower":0.3,"upper":0.7}`, []string{`Lower: is unknown; did you mean "lower"?`, `lower: is missing`}},
		{`{"kind":"target","metric":"cpu","value":70}`, []string{`value: 70 is out of range; use a fraction`}},
		{`{"kind":"target","metric":"in_flight","value":0}`, []string{`value: 0 is out of range; use a number of requests`}},
		{`{"kind":"target","metric":"latency","value":1}`, []string{`metric: "latency" is unknown; use "cpu", "memory", "in_flight" or "rate"`}},
		{`{"kind":"target","value":1}`, []string{`metric: is missing`}},
		{`{"kind":"target","metric":"cpu","value":0.5,"tolerance":1}`, []string{`tolerance: 1 is out of range`}},
		{`{"kind":"target","metric":"cpu","value":0.5,"tolerance":-0.1}`, []string{`tolerance: -0.1 is out of range`}},
		{`{"kind":"cooldown","down":"60s"}`, []string{`policy: is missing; use a policy such as`}},
		{`{"kind":"cooldown","down":60,"policy":{"kind":"threshold","lower":0.3,"upper":0.7}}`, []string{`down: 60 is not a duration; use a duration such as "60s"`}},
		{`{"kind":"cooldown","down":"60","policy":{"kind":"threshold","lower":0.3,"upper":0.7}}`, []string{`down: "60" is not a duration`}},
		{`{"kind":"cooldown","down":"60 seconds","policy":{"kind":"threshold","lower":0.3,"upper":0.7}}`, []string{`is not a duration`}},
		{`{"kind":"cooldown","down":"48h","up":"-1s","policy":{"kind":"threshold","lower":0.3,"upper":2}}`,
			[]string{`up: -1s is out of range`, `down: 48h0m0s is out of range; use a duration from "0s" to "24h"`, `policy.upper: 2 is out of range`}},
		{`{"kind":"cooldown","policy":5}`, []string{`policy: 5 is not an object; use a policy such as`}},
		{`{"kind":"clamp","policy":{"kind":"cooldown","policy":{"kind":"target","metric":"cpu","value":3}}}`, []string{`policy.policy.value: 3 is out of range`}},
		{`{"kind":"step-limit","up":-1,"down":2000,"policy":{"kind":"threshold","lower":0.3,"upper":0.7}}`, []string{`up: -1 is out of range`, `down: 2000 is out of range`}},
		{`{"kind":"stabilize","window":"5m","policy":{"kind":"nope"}}`, []string{`window: is unknown; use "up", "down" or "policy"`, `policy.kind: "nope" is unknown`}},
	} {
		p, err := elastic.NewRegistry().Parse(json.RawMessage(c.raw))
		require.Error(t, err, c.raw)
		assert.Nil(t, p, c.raw)
		var faults elastic.Faults
		require.ErrorAs(t, err, &faults, c.raw)
		require.Len(t, faults, len(c.want), "%s: %v", c.raw, err)
		for i, want := range c.want {
			assert.Contains(t, faults[i].String(), want, c.raw)
		}
	}
}

func TestParseNesting(t *testing.T) {
	wrap := func(n int) json.RawMessage {
		return json.RawMessage(strings.Repeat(`{"kind":"clamp","policy":`, n) + `{"kind":"threshold","lower":0.3,"upper":0.7}` + strings.Repeat(`}`, n))
	}
	_, err := elastic.NewRegistry().Parse(wrap(elastic.MaxNesting - 1))
	require.NoError(t, err)
	_, err = elastic.NewRegistry().Parse(wrap(elastic.MaxNesting))
	require.ErrorContains(t, err, "use at most 8 policies in each other")
	_, err = elastic.NewRegistry().Parse(wrap(2000))
	require.Error(t, err)
}

func TestParseBoundsTheFaults(t *testing.T) {
	var many strings.Builder
	for i := range 200 {
		fmt.Fprintf(&many, `,"x%d":1`, i)
	}
	_, err := elastic.NewRegistry().Parse(json.RawMessage(`{"kind":"threshold"` + many.String() + `}`))
	var faults elastic.Faults
	require.ErrorAs(t, err, &faults)
	require.Len(t, faults, 100)
}
