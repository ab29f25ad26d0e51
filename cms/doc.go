// Package cms is the manager of a cluster of elastic pods. A [Manager] runs one
// loop a pod that observes it, decides how many nodes it should have, acts and
// records; it places nodes on hosts, keeps the balancer's servers equal to the
// nodes that are online, and keeps everything that must not be lost in a
// [Store].
//
// The package knows no backend: a program hands it a balancer, a store and a
// function that opens runtimes.
package cms
