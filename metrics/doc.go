// Package metrics holds what elastipod measures of a pod: a [Value] that may be
// missing, one [Sample] per tick, a [Series] that keeps the last of them, and
// the format in which samples are recorded.
//
// metrics/prom exports them to Prometheus.
package metrics
