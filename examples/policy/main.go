// Command policy is a server with a policy of its own. It is registered under
// the kind "office-hours", and then any pod may choose it, in the server's YAML,
// through the API and with the cloud command:
//
//	policy: {kind: office-hours, from: 8, to: 18, inside: 4, outside: 1}
//
// It also wraps and is wrapped like the built-in ones, explains itself in
// decisions, and is checked when it is set.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/elastipod/elastipod/cms/serve"
	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/examples/server/dashboard"
	"github.com/elastipod/elastipod/examples/workload"
)

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) }

// run is the reference server with one more policy.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	policies := elastic.NewRegistry()
	if err := policies.Register(elastic.Kind{
		Name:    "office-hours",
		Summary: "As many nodes as the hour of the day (UTC) asks for.",
		Schema: json.RawMessage(`{"type":"object","required":["from","to","inside","outside"],"properties":{
			"from":{"type":"integer","minimum":0,"maximum":23},"to":{"type":"integer","minimum":1,"maximum":24},
			"inside":{"type":"integer","minimum":1},"outside":{"type":"integer","minimum":1}}}`),
		New: func(raw json.RawMessage, _ *elastic.Registry) (elastic.Policy, error) {
			var p officeHours
			if err := elastic.Decode(raw, &p); err != nil {
				return nil, err
			}
			return p, p.validate()
		},
	}); err != nil {
		fmt.Fprintln(stderr, "policy:", err)
		return serve.ExitFailed
	}
	return serve.Program{Policies: policies, Page: dashboard.New, Workload: workload.Run, Stdout: stdout, Stderr: stderr}.Run(ctx, args)
}

// officeHours wants one number of nodes inside of office hours and another one
// outside. It reads no clock: the observation says what time it is, so it
// decides the same in a dry run and in a replay.
type officeHours struct {
	From    int `json:"from"`
	To      int `json:"to"`
	Inside  int `json:"inside"`
	Outside int `json:"outside"`
}

// Decide implements [elastic.Policy].
func (p officeHours) Decide(o elastic.Observation) elastic.Decision {
	hour, want, note := o.At.UTC().Hour(), p.Outside, "outside of office hours"
	if hour >= p.From && hour < p.To {
		want, note = p.Inside, "office hours"
	}
	var d elastic.Decision
	d.Add(elastic.Step{Rule: elastic.RuleNote, From: o.Want, To: want, Note: note})
	return d
}

func (p officeHours) validate() error {
	var f elastic.Faults
	if p.From < 0 || p.From > 23 {
		f.Add("from", "use an hour from 0 to 23", "%d is out of range", p.From)
	}
	if p.To <= p.From || p.To > 24 {
		f.Add("to", "use an hour after from, up to 24", "%d is out of range", p.To)
	}
	if p.Inside < 1 {
		f.Add("inside", "use at least 1 node", "%d is too few", p.Inside)
	}
	if p.Outside < 1 {
		f.Add("outside", "use at least 1 node", "%d is too few", p.Outside)
	}
	return f.Err()
}
