package balancertest

import (
	"testing"
)

// RunTraffic checks the contract of balancer.Balancer as far as it concerns
// requests, with real backends on loopback. It takes less than a minute.
//
// Beyond the port's own comments it fixes what a front does to messages:
//
//   - X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host tell the client's
//     address, "http" and the client's Host. What the client sent under these
//     names, or as Forwarded, does not reach a server.
//   - Keep-Alive, Proxy-Connection and Proxy-Authorization do not reach a server.
//   - A request that two parsers could frame in two ways is refused, or
//     forwarded in a form that has one reading.
//   - A client that goes away ends its request at the server.
func RunTraffic(t *testing.T, h Harness) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, b *bed)
	}{
		{"Members/no server answers 503", noServer},
		{"Members/a server that is added serves at once", addedServes},
		{"Members/drain finishes and gives nothing new", drainFinishes},
		{"Members/removal cuts", removalCuts},
		{"Members/an address that changed cuts", replacementCuts},
		{"Members/removed front takes no connections", removedFront},
		{"Members/front that moves keeps what runs", movedFront},
		{"Members/churn under load", churn},
		{"Members/changes of the front under load", frontChangesUnderLoad},
		{"Failure/server killed under load", killed},
		{"Failure/refused connection is retried whatever the method", refusedRetried},
		{"Failure/as many refuse at once as there are retries", manyRefuse},
		{"Failure/POST is not retried", postNotRetried},
		{"Failure/POST is retried where asked for", postRetried},
		{"Failure/garbage answers 502", garbage},
		{"Failure/silent server answers 504", silent},
		{"Failure/answer broken off is an error", brokenOff},
		{"Spread/leastconn", spreadLeastConn},
		{"Spread/roundrobin", spreadRoundRobin},
		{"Spread/weights", spreadWeights},
		{"Spread/random", spreadRandom},
		{"Spread/first", spreadFirst},
		{"Spread/source", spreadSource},
		{"Queue/requests wait and are seen", queueWaits},
		{"Queue/time-out answers 503", queueTimeout},
		{"HTTP/keep-alive", keepAlive},
		{"HTTP/pipelined requests are answered in order", pipelined},
		{"HTTP/methods and statuses", methodsAndStatuses},
		{"HTTP/HEAD, 204 and 304 have no body", noBody},
		{"HTTP/1.0 client", http10},
		{"HTTP/1.0 server", http10Server},
		{"HTTP/connection close", connectionClose},
		{"HTTP/response streams", responseStreams},
		{"HTTP/request streams", requestStreams},
		{"HTTP/trailers", trailers},
		{"HTTP/100-continue", expectContinue},
		{"HTTP/websocket", webSocket},
		{"HTTP/forwarded headers", forwardedHeaders},
		{"HTTP/hop-by-hop headers", hopByHop},
		{"HTTP/large bodies", largeBodies},
		{"HTTP/client goes away", clientGone},
		{"HTTP/smuggling", smuggling},
		{"Stats/equal what was sent", statsEqual},
		{"Stats/errors are counted", statsErrors},
		{"Stats/latency", statsLatency},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t, h)) })
	}
}
