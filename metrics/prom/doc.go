// Package prom exports what elastipod measures to Prometheus. It is the only
// package that knows Prometheus: an [Exporter] reads a [State] whenever it is
// scraped, and is told of the few things that happen in between.
package prom
