package elastic

import (
	"math"
	"strconv"
	"strings"
)

// String returns all steps as one sentence a step, joined by "; ", such as
// "CPU 0.91 over upper 0.70: 3 → 4".
func (d Decision) String() string { return d.join(func(Step) bool { return true }) }

// Reason returns what made the number what it is: the steps that changed it, or
// where none did the first one, which says why it stays.
func (d Decision) Reason() string {
	if s := d.join(func(s Step) bool { return s.From != s.To }); s != "" {
		return s
	}
	if d.N > 0 {
		return d.Steps[0].String()
	}
	return stay(d.Want)
}

func (d Decision) join(keep func(Step) bool) string {
	var b strings.Builder
	for i := range min(max(d.N, 0), MaxSteps) {
		if !keep(d.Steps[i]) {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		b.WriteString(d.Steps[i].String())
	}
	return b.String()
}

// String renders the step for a person.
func (s Step) String() string {
	text := s.sentence()
	switch s.Rule {
	case RuleNote, RuleCapacity, RuleUnobserved, RuleManual, RulePaused, RuleDryRun, RuleEnabled:
	default:
		if s.Note != "" {
			text += " (" + s.Note + ")"
		}
	}
	return text
}

func (s Step) sentence() string {
	switch s.Rule {
	case RuleMissing:
		return s.metric() + " not measured: " + s.move()
	case RuleAboveUpper:
		value, bound := tell(s.Value, s.Bound)
		return s.metric() + " " + value + " over upper " + bound + ": " + s.move()
	case RuleBelowLower:
		value, bound := tell(s.Value, s.Bound)
		return s.metric() + " " + value + " under lower " + bound + ": " + s.move()
	case RuleWithin:
		return s.metric() + " " + number(s.Value, 2) + " between " + number(s.Bound, 2) + " and " + number(s.Upper, 2) + ": " + s.move()
	case RuleTarget:
		value, bound := tell(s.Value, s.Bound)
		return s.metric() + " " + value + " against target " + bound + ": " + s.move()
	case RuleProjected:
		value, bound := tell(s.Value, s.Bound)
		return "with " + strconv.Itoa(s.From) + " " + s.metric() + " would be " + value + ", over upper " + bound + ": " + stay(s.To)
	case RuleStarting:
		if s.Value == 1 {
			return "1 node is starting: " + stay(s.To)
		}
		return number(s.Value, 0) + " nodes are starting: " + stay(s.To)
	case RuleMin:
		return "wanted " + strconv.Itoa(s.From) + ", bounded to min " + strconv.Itoa(s.To)
	case RuleMax:
		return "wanted " + strconv.Itoa(s.From) + ", bounded to max " + strconv.Itoa(s.To)
	case RuleCooldown:
		return s.direction() + " held " + seconds(math.Floor(s.Value)) + " of " + seconds(s.Bound) + " cooldown: " + stay(s.To)
	case RuleStabilize:
		extreme := "highest"
		if s.From > s.To {
			extreme = "lowest"
		}
		return "wanted " + strconv.Itoa(s.From) + ", kept at " + strconv.Itoa(s.To) + ": the " + extreme + " wish of the last " + seconds(s.Bound)
	case RuleStepLimit:
		verb, per := "removed", " at a time"
		if s.From > s.To {
			verb = "added"
		}
		if s.Value > 0 {
			per = " in " + seconds(s.Value)
		}
		return "wanted " + strconv.Itoa(s.From) + ", at most " + number(s.Bound, 0) + " " + verb + per + ": " + strconv.Itoa(s.To)
	case RuleCapacity:
		return "want " + strconv.Itoa(s.From) + ", room for " + strconv.Itoa(s.To) + s.because()
	case RuleManual:
		return "set by hand" + s.because() + ": " + s.move()
	case RulePaused:
		return "paused" + s.because() + ": " + s.move()
	case RuleUnobserved:
		return "not observed" + s.because() + ": " + s.move()
	case RuleEnabled:
		return "elasticity enabled" + s.because() + ": " + s.move()
	case RuleDryRun:
		return "dry run" + s.because() + ": would want " + strconv.Itoa(s.From) + ", " + stay(s.To)
	case RuleNote:
		if s.Note != "" {
			return s.Note + ": " + s.move()
		}
	}
	return s.move()
}

func (s Step) metric() string {
	if s.Metric == "" {
		return "value"
	}
	return s.Metric
}

// because puts the note behind a colon, for rules whose note is the reason.
func (s Step) because() string {
	if s.Note == "" {
		return ""
	}
	return ": " + s.Note
}

func (s Step) move() string {
	if s.From == s.To {
		return stay(s.To)
	}
	return strconv.Itoa(s.From) + " → " + strconv.Itoa(s.To)
}

func (s Step) direction() string {
	if s.From > s.To {
		return "scale-out"
	}
	return "scale-in"
}

func stay(n int) string { return "stay at " + strconv.Itoa(n) }

// tell renders two numbers with two decimals, or with as many as it takes to
// tell them apart, so that nobody reads "0.70 over 0.70".
func tell(a, b float64) (string, string) {
	for decimals := 2; decimals < 6; decimals++ {
		x, y := number(a, decimals), number(b, decimals)
		if x != y || a == b {
			return x, y
		}
	}
	return strconv.FormatFloat(a, 'g', -1, 64), strconv.FormatFloat(b, 'g', -1, 64)
}

// number renders a fraction with that many decimals; what is 10 and more loses
// trailing zeros, since it counts things.
func number(x float64, decimals int) string {
	text := strconv.FormatFloat(x, 'f', decimals, 64)
	if math.Abs(x) >= 10 && strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

func seconds(x float64) string { return strconv.FormatFloat(math.Round(x*10)/10, 'f', -1, 64) + " s" }
