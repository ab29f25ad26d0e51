package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/elastipod/elastipod/cms/wire"
)

var stateColours = map[string]colour{
	"active": green, "online": green, "ready": green, "reachable": green,
	"starting": yellow, "draining": cyan, "drain": cyan, "deleting": cyan, "paused": yellow, "cordoned": yellow,
	"done": green, "progressing": yellow, "rolled-back": red,
	"failed": red, "down": red, "unreachable": red,
	"new": dim, "standby": dim, "gone": dim,
}

func stateCell(state string) cell { return cell{state, stateColours[state]} }

// elasticText says shortly whether and how a pod is elastic.
func elasticText(e wire.Elasticity) string {
	if !e.Enabled {
		return "off"
	}
	text := fmt.Sprintf("%d to %d", e.Min, e.Max)
	if e.Mode == "dry-run" {
		text += " (dry run)"
	}
	return text
}

func policySuffix(e wire.Elasticity) string {
	if p := policyText(e.Policy); p != "" {
		return ", policy " + p
	}
	return ""
}

// policyText renders a policy as "kind key=value …", the wrapped one last.
func policyText(p wire.Policy) string {
	var fields map[string]json.RawMessage
	if len(p) == 0 || json.Unmarshal(p, &fields) != nil {
		return ""
	}
	var kind string
	_ = json.Unmarshal(fields["kind"], &kind)
	parts := []string{kind}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		if key != "kind" && key != "policy" {
			parts = append(parts, key+"="+strings.Trim(string(fields[key]), `"`))
		}
	}
	text := strings.Join(parts, " ")
	if inner := policyText(wire.Policy(fields["policy"])); inner != "" {
		text += " of (" + inner + ")"
	}
	return text
}

func frontsText(fronts []wire.Front) string {
	texts := make([]string, len(fronts))
	for i, f := range fronts {
		texts[i] = f.Listen
	}
	return strings.Join(texts, ", ")
}

func portsText(ports map[string]int) string {
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(ports)) {
		texts = append(texts, name+"="+strconv.Itoa(ports[name]))
	}
	return strings.Join(texts, ", ")
}

// countsText says how many nodes are in which state.
func countsText(s wire.PodStatus) string {
	n := s.Nodes
	var texts []string
	for _, x := range []struct {
		count int
		state string
	}{{n.Online, "online"}, {n.Starting, "starting"}, {n.Draining, "draining"}, {n.New, "new"}, {n.Standby, "standby"}, {n.Failed, "failed"}, {n.Unseen, "not seen yet"}} {
		if x.count > 0 {
			texts = append(texts, strconv.Itoa(x.count)+" "+x.state)
		}
	}
	if len(texts) == 0 {
		texts = []string{"none"}
	}
	return strings.Join(texts, ", ") + "; " + strconv.Itoa(s.Want) + " wanted"
}

// measured renders what is known of a sample.
func measured(s wire.Sample) string {
	var texts []string
	add := func(name, value string) {
		if value != "" {
			texts = append(texts, name+" "+value)
		}
	}
	add("CPU", percent(s.CPU))
	add("memory", percent(s.Memory))
	add("in flight", number(s.InFlight))
	if s.Waiting != nil && *s.Waiting > 0 {
		add("waiting", number(s.Waiting))
	}
	add("requests/s", number(s.Rate))
	if s.Errors != nil && *s.Errors > 0 {
		add("errors/s", number(s.Errors))
	}
	add("p50", secondsText(s.P50))
	add("p95", secondsText(s.P95))
	add("p99", secondsText(s.P99))
	return strings.Join(texts, ", ")
}

// secondsText renders a time in seconds that may be missing.
func secondsText(x *float64) string {
	if x == nil {
		return ""
	}
	return took(time.Duration(*x * float64(time.Second)))
}

// short2 renders a number with up to two digits after the point.
func short2(x float64) string {
	return strings.TrimRight(strings.TrimRight(strconv.FormatFloat(x, 'f', 2, 64), "0"), ".")
}
