// Package elastic decides how many nodes a pod should have. A [Policy] turns an
// [Observation] into a [Decision] that explains itself; policies are plain
// arithmetic: they do no I/O and read no clock, so the same code runs live, in
// a dry run and in a replay of history.
//
// # The policies
//
// [Threshold] is the classic rule: above the upper threshold of CPU or memory a node is
// added, below the lower one removed. [Target] keeps CPU, memory, requests in flight or
// requests a second per node near a value.
//
// Others wrap any policy: [Clamp] bounds it, [Cooldown] leaves time between its
// changes, [Stabilize] acts on the highest or lowest wish of a window, and
// [StepLimit] bounds how many nodes come or go at a time. Those with a memory can
// save it and have it restored; they decide then as if nothing had been.
//
// # Observations and decisions
//
// A [Builder] makes observations from raw counters, the same way everywhere. A value
// that was not measured is missing, never 0, and a policy holds the number of nodes
// where it would have needed it. A decision is a value with one [Step] for each rule
// that had a part in it, and becomes a sentence only when somebody reads it.
//
// # In configuration
//
// A [Registry] knows policies by their kind, so that a program's own policy can
// be chosen in configuration:
//
//	{"kind":"cooldown","down":"60s","policy":{"kind":"threshold","lower":0.3,"upper":0.7}}
//
// README.md is the guide to write one, elastictest what every policy must keep.
package elastic
