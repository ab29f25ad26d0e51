// Package pod holds the words of elastipod that concern what runs: a [Spec]
// describes a pod, a [Node] is one running copy of its [Workload], a [Host] is
// a machine on which nodes run, and a [Runtime] starts, stops and observes the
// nodes of one host.
//
// # From a spec to a node
//
// A spec needs a name and something to run; [Spec.WithDefaults] fills in the rest and
// [Spec.Validate] reports every fault at once, with the path of its field, what is
// wrong and what is allowed. The manager gives a complete workload to a runtime in a
// [StartRequest]; the runtime gives back a [Node] with the endpoints at which its
// ports answer. Whether a node is ready is found out by the manager, with the
// workload's [Probe].
//
// A node's [State] goes from new to starting, online, draining and gone; failed can
// follow on each of them. [State.CanBecome] is the one table of that.
//
// # Runtimes
//
// Runtimes live in packages of their own: pod/docker for Docker Engines,
// pod/process for operating-system processes, pod/podtest for an in-memory fake
// and for the conformance suite that any Runtime must pass. What a runtime can do
// beyond the port's methods is in its [Extras].
//
// README.md is the guide to write one.
package pod
