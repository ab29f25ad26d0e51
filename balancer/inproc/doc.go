// Package inproc is a balancer.Balancer inside the program: a reverse proxy for
// HTTP/1.1 and 1.0 that needs nothing installed and ends with the program.
//
// It is built for throughput with nothing traded for it. One goroutine serves
// a client's connection; heads are parsed in place by a strict parser of its
// own (no bare newlines, no folded lines, exactly one way to frame a body), are
// rebuilt rather than passed on, and what follows an unclear one is never read.
// Chunked bodies are decoded and framed anew. Bodies stream both ways.
//
// # What ends with the program
//
// Everything: it is one process with whoever imports it. Close, and so a server
// that is told to end, stops listening at once and lets requests that run
// finish for CloseGrace; what still runs then is cut, tunnels too. A program
// that is killed or crashes takes all its connections with it, and until it is
// started again connections are refused. Nothing of a Balancer is found again:
// fronts and servers come from the manager, which keeps them, and counters begin
// anew. Where requests must outlive the manager, use balancer/haproxy.
//
// # What servers see
//
// X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host hold the client's
// address, "http" and the client's Host; what the client sent under these
// names, or as Forwarded, is dropped, spelled with underscores too. So are
// hop-by-hop fields and those that Connection lists. Everything else passes as
// it came, in its order.
//
// # Retries
//
// A request is tried again, on another server where there is one, when no byte
// of an answer has come, its body is here (none, or up to 64 KiB), and running
// it twice does no harm: its method is idempotent, or the front says
// RetryNonIdempotent, or it provably never left. A request that may not be run
// twice is sent on a fresh connection, or on one that was used within the last
// second and that the server has not closed.
//
// # Algorithms
//
// leastconn compares requests in flight divided by weight; roundrobin is
// smooth; source is a weighted rendezvous hash of the client's address. Where
// a front has a MaxConn, requests that find all servers full wait in one queue,
// first come first served, and source then takes the next best server with
// room rather than wait for its own.
//
// A server that refuses a connection is down: it is passed over, and tried in the
// background, until it takes one (and answers the front's CheckPath, if set). When
// all are down they are tried all the same.
package inproc
