// Package wire holds the types that cross the wire: what the REST API reads and
// writes as JSON, and what configuration files hold as YAML, under the same
// names. It holds nothing else, so that a client needs nothing else.
//
// Settings that are left out get their defaults when they are written; a value
// that is read is complete, and can be written back unchanged: everything that
// the server adds is under "status", which writes ignore. Durations and amounts
// of memory are strings with a unit in settings ("30s", "300MiB"); measurements
// are numbers, in seconds, bytes or fractions, and null where nothing was
// measured. Times are those of RFC 3339.
//
// In Go, the zero value of a field is a setting that was left out. Where 0 could
// be taken for the value zero, decoding refuses it instead of reading it as the
// default: see [Bytes], [Duration], [Cores] and [Count].
package wire
