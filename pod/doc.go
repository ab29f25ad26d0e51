// Package pod holds the words of elastipod that concern what runs: a [Spec]
// describes a pod, a [Node] is one running copy of its [Workload], a [Host] is
// a machine on which nodes run, and a [Runtime] starts, stops and observes the
// nodes of one host.
//
// Runtimes live in packages of their own: pod/docker for Docker Engines,
// pod/process for operating-system processes, pod/podtest for an in-memory fake
// and for the conformance suite that any Runtime must pass.
package pod
