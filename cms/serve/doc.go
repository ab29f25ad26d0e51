// Package serve is the whole server as a library: configuration, the wiring of
// stacks, and the program. [Program.Run] is all of a main function, so that a
// program with policies of its own is a server in a few lines; examples/policy
// is one. The dashboard, the demo and what the nodes of the default pods run are
// passed in; examples/server has all three.
//
// Everything is wired by hand in stack.go: read there which balancer, which
// runtimes and which store there are.
package serve
