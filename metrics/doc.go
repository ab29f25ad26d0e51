// Package metrics holds what elastipod measures of a pod: a [Value] that may be
// missing, one [Sample] per tick, a [Series] that keeps the last of them, and
// the format in which samples are recorded.
//
// A recording is text, a JSON object a line, that a [Writer] writes and a [Reader]
// reads strictly; a last line that a crash cut off is passed over. [Mean] and
// [Quantile] sum up a field of samples, and leave out where it was not measured.
//
// metrics/prom exports samples to Prometheus.
package metrics
