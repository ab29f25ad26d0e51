// Package elastipod is documentation only: a tour of the module.
//
// elastipod runs containers (or processes) as elastic pods: groups of identical
// nodes behind a load balancer that grow when demand comes and shrink when it
// goes, on the Docker hosts that you already have. Import it, or start its
// reference server.
//
// # The words
//
// A cluster has hosts; a host runs nodes through a runtime. A pod is a named
// group of identical nodes. A front is an address on which the balancer takes
// requests for a pod. Once a tick, the loop of each pod observes, asks its
// policy how many nodes there should be, acts, and records what it did and why.
//
// # The packages
//
//   - pod: what runs. The Runtime port; pod/docker and pod/process implement it.
//   - balancer: how requests reach nodes. The Balancer port; balancer/haproxy and
//     balancer/inproc implement it.
//   - metrics: what was measured; metrics/prom exports it.
//   - elastic: policies, from an observation to a decision with its reasons. Pure
//     arithmetic; write your own and put it into the Registry.
//   - cms: the manager that ties these together, over a Store; cms/boltstore
//     implements that, cms/api and cms/client are its REST API and a client,
//     cms/serve is the whole server.
//   - examples: the reference server, the cloud command, a demo workload, and two
//     programs that show how to embed elastipod and how to write a policy.
//
// Every port has a package with an in-memory fake and a conformance suite beside
// it (podtest, balancertest, cmstest, elastictest), so that a backend of your
// own can be held to the same contract as ours.
//
// # A way through
//
// Start with examples/embed: an elastic pool inside a program, on one screen.
// Then read cms.Config and cms.Manager, which are what a program holds in its
// hands; pod.Spec and balancer.Front, which say what runs and where requests
// are taken; and elastic.Policy with its Observation and Decision. The README.md
// beside each of these packages is a guide to write one of your own.
//
// What is promised, and what not, is in cms/README.md.
package elastipod
