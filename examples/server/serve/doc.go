// Package serve is the reference server as a library: configuration, wiring and
// the demo. [Program.Run] is all of its main function, so that a program with
// policies of its own is a server in a few lines; examples/policy is one.
//
// Everything is wired by hand in stack.go: which balancer, which runtimes and
// which store there are is read there.
package serve
