// Package workload is the demo program that nodes run: an HTTP server that uses
// as much CPU time per request as it is told to, and that remembers which
// requests it saw. The server runs it as "server workload light|medium|heavy".
//
//	/                              the work of its kind: light none, medium 20 ms, heavy 80 ms of CPU time
//	/work?cpu=20ms&sleep=100ms     as much CPU time and waiting as is asked for
//	/ws                            a WebSocket: first the node's name, then whatever it is sent
//	/healthz                       200 as long as it serves
//	/seen?since=0                  the ids of requests that it saw, as JSON
//	POST /fault?exit=3             a fault on demand, with FAULTS=on in its environment
//
// The id of a request is its X-Request-Id header or its "id" parameter; it comes
// back in X-Request-Id, and X-Node says which node answered. With SEEN_FILE in
// its environment, every id is also appended to that file before the work
// begins, one a line, so that it outlives the node. With WARM_UP=5s it starts
// slowly: /healthz answers 503 for so long.
//
// The faults on demand, for seeing what the manager does about them: exit=CODE
// ends it at once; memory=512MiB uses so much more for good; status=500 is what
// /healthz answers from then on; delay=5s makes every answer wait from then on.
//
// It listens on every port that PORT and PORT_<NAME> give, finishes what runs
// when it gets SIGTERM, and needs 32 MiB and 0.3 CPU.
package workload
