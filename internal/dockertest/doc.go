// Package dockertest runs private Docker Engines for tests: each with its own
// socket, data, containerd, bridge and subnet, so that tests of several
// processes run side by side and never touch the machine's own engine.
//
// An engine can also be put into a network namespace, reached over a veth pair:
// it is then a remote host, with TLS on tcp and with an ssh server, and it can be
// unplugged. Tests must run as root on Linux with Debian's docker.io and iproute2
// (and openssh-server for ssh) installed; what is missing is an error that names
// the package.
//
// A starting engine removes the machine-wide rules for published ports of the
// others, as engines do: their ports go on answering through docker-proxy. A test
// with --userland-proxy=false takes a remote engine, which has its own rules.
//
// A [Proxy] before an engine's socket delays calls of its API, refuses them or
// cuts them, and counts them.
//
// [Start] is for tests, [Launch] for TestMain and for programs. What a killed
// test process leaves behind is removed by the next one that starts an engine.
package dockertest
