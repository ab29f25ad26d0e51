// Package balancertest holds what tests of balancers, and of those that use
// one, need: [Fake], a balancer in memory whose errors, delays and figures a
// test sets; [Run], the membership cases that every balancer.Balancer must
// pass; and [RunTraffic], the cases for those that carry requests.
package balancertest
