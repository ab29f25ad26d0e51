package elastic_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/elastic/elastictest"
	"github.com/elastipod/elastipod/metrics"
)

// The policy of README.md.

// region: policy

// latency adds a node while 95 % of the requests take longer than Most, and
// removes one when they took less than half of that, or there were none, for
// as long as Calm.
type latency struct {
	Most elastic.Duration `json:"most"`
	Calm elastic.Duration `json:"calm"`

	calmSince time.Time // zero: it is not calm
}

// Decide implements [elastic.Policy].
func (p *latency) Decide(o elastic.Observation) elastic.Decision {
	most := time.Duration(p.Most).Seconds()
	p95, slow := o.P95.Get()
	if rate, ok := o.Rate.Get(); !slow && (!ok || rate > 0) {
		return elastic.Hold(o.Want, elastic.RuleMissing, "p95")
	}
	if p95 >= most/2 {
		p.calmSince = time.Time{}
	} else if p.calmSince.IsZero() || o.At.Before(p.calmSince) {
		p.calmSince = o.At.Round(0) // without what only this process can read
	}

	d := elastic.Decision{Want: o.Want}
	step := elastic.Step{Rule: elastic.RuleWithin, From: o.Want, To: o.Want, Metric: "p95", Value: p95, Bound: most / 2, Upper: most}
	switch {
	case o.Starting > 0:
		step = elastic.Step{Rule: elastic.RuleStarting, From: o.Want, To: o.Want, Value: float64(o.Starting)}
	case p95 > most:
		step.Rule, step.To, step.Bound = elastic.RuleAboveUpper, o.Want+1, most
	case !p.calmSince.IsZero() && o.Want > 1 && o.At.Sub(p.calmSince) >= time.Duration(p.Calm):
		step.Rule, step.To = elastic.RuleBelowLower, o.Want-1
		p.calmSince = o.At.Round(0)
	case !p.calmSince.IsZero():
		step.Rule = elastic.RuleBelowLower
		step.Note = "not for long enough, or the last node"
	}
	d.Add(step)
	return d
}

// end

// region: memory

// MarshalBinary returns the policy's memory.
func (p *latency) MarshalBinary() ([]byte, error) { return p.calmSince.MarshalBinary() }

// UnmarshalBinary takes a memory back, or returns [elastic.ErrMemory] and
// changes nothing.
func (p *latency) UnmarshalBinary(data []byte) error {
	var t time.Time
	if err := t.UnmarshalBinary(data); err != nil {
		return fmt.Errorf("%w: %v", elastic.ErrMemory, err)
	}
	p.calmSince = t
	return nil
}

// end

// region: register

// withLatency returns the built-in policies, and latency.
func withLatency() (*elastic.Registry, error) {
	r := elastic.NewRegistry()
	err := r.Register(elastic.Kind{
		Name:    "latency",
		Summary: "Keeps the response time of 95 % of the requests under a bound.",
		Schema: json.RawMessage(`{"type":"object","required":["most","calm"],"properties":{
			"most":{"type":"string","description":"Above this, a node is added, such as \"200ms\"."},
			"calm":{"type":"string","description":"Below half of it for so long, one is removed, such as \"1m\"."}}}`),
		New: func(raw json.RawMessage, _ *elastic.Registry) (elastic.Policy, error) {
			p := &latency{}
			if err := elastic.Decode(raw, p); err != nil {
				return nil, err
			}
			var f elastic.Faults
			if p.Most <= 0 {
				f.Add("most", `use a duration above 0, such as "200ms"`, "%s is not above 0", p.Most)
			}
			if p.Calm < 0 {
				f.Add("calm", `use a duration such as "1m"`, "%s is negative", p.Calm)
			}
			return p, f.Err()
		},
	})
	return r, err
}

// end

// region: test

func TestLatency(t *testing.T) {
	newPolicy := func() elastic.Policy {
		return &latency{Most: elastic.Duration(200 * time.Millisecond), Calm: elastic.Duration(time.Minute)}
	}
	elastictest.Run(t, newPolicy) // what every policy must keep, on random histories

	// Five minutes of calm after a minute of load, in no time.
	p, want := newPolicy(), 2
	at := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for second := range 360 {
		p95 := 0.05
		if second < 60 && second%20 == 0 {
			p95 = 0.31
		}
		d := p.Decide(elastic.Observation{At: at.Add(time.Duration(second) * time.Second), Want: want, Online: want, P95: metrics.V(p95)})
		if second == 0 {
			assert.Equal(t, "p95 0.31 over upper 0.20: 2 → 3", d.String())
		}
		want = d.Want
	}
	assert.Equal(t, 1, want)
}

// end

func TestLatencyIsChecked(t *testing.T) {
	r, err := withLatency()
	require.NoError(t, err)
	_, err = r.Parse(json.RawMessage(`{"kind":"cooldown","up":"10s","policy":{"kind":"latency","most":"200ms","calm":"1m"}}`))
	require.NoError(t, err)
	for raw, want := range map[string]string{
		`{"kind":"latency","most":"0s","calm":"1m"}`:               "most: 0s is not above 0",
		`{"kind":"latency","most":"1s","calm":"-1m"}`:              "calm: -1m",
		`{"kind":"latency","most":"1s","calm":"1m","calmsince":1}`: "calmsince",
		`{"kind":"latency","most":1,"calm":"1m"}`:                  "most: 1 is not a duration; use a duration such as",
		`{"kind":"latency","most":"1s"}`:                           "calm",
	} {
		_, err := r.Parse(json.RawMessage(raw))
		assert.ErrorContains(t, err, want)
	}
}
