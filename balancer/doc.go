// Package balancer holds the words of elastipod that concern how requests reach
// nodes: a [Front] is an address on which requests for a pod are taken, a
// [Server] is one endpoint behind it, and a [Balancer] spreads the requests of
// its fronts over their servers.
//
// Balancers live in packages of their own: balancer/haproxy manages an HAProxy,
// balancer/inproc is a reverse proxy inside the program, balancer/balancertest
// holds an in-memory fake and the conformance suite that any Balancer must pass.
package balancer
