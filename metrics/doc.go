// Package metrics holds what elastipod measures of a pod: a [Value] that may be
// missing, one [Sample] per tick, and a [Series] that keeps the last of them.
//
// metrics/prom exports samples to Prometheus.
package metrics
