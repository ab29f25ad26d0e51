// Package balancer holds the words of elastipod that concern how requests reach
// nodes: a [Front] is an address on which requests for a pod are taken, a
// [Server] is one endpoint behind it, and a [Balancer] spreads the requests of
// its fronts over their servers.
//
// The port is declarative: a caller says which fronts and servers there should be,
// as often as it likes, and a start, a restart, a resume and a correction are the same
// calls. [Stats] are cumulative counters and gauges, so that no rate depends on how
// often somebody looks; requests that are taken and not answered in full are in
// flight, and a server that drains may be stopped once it has none.
//
// Balancers live in packages of their own: balancer/haproxy manages an HAProxy,
// balancer/inproc is a reverse proxy inside the program, balancer/balancertest
// holds an in-memory fake and the conformance suite that any Balancer must pass.
//
// README.md is the guide to write one.
package balancer
