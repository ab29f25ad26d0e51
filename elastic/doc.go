// Package elastic decides how many nodes a pod should have. A [Policy] turns an
// [Observation] into a [Decision] that explains itself; policies are plain
// arithmetic: they do no I/O and read no clock, so the same code runs live, in
// a dry run and in a replay of history.
//
// A [Builder] makes observations from raw counters, the same way everywhere. A
// [Registry] knows policies by their kind, so that a program's own policy can
// be chosen in configuration.
package elastic
