// Package haproxy is a [balancer.Balancer] that manages an HAProxy of its own:
// it writes the configuration, checks it, starts HAProxy in master-worker mode
// and reloads it when a front comes, changes or goes. Which servers there are
// is said over HAProxy's runtime socket only, without a reload.
//
// HAProxy outlives the program. A [Balancer] that is opened later on the same
// directory finds it again, with its fronts and servers.
//
// README.md says what is written where, what is retried and which versions of
// HAProxy were run.
package haproxy
