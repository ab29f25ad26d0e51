// Package api serves the REST API of a [cms.Manager]: JSON over HTTP, described
// by an OpenAPI 3.1 document that it serves itself, with server-sent events and
// with errors as problem details (RFC 9457) whose detail says what to do.
//
// [New] makes the handler and starts nothing. What crosses the wire is in
// package wire; [PodSpec], [HostSpec] and [ElasticitySpec] turn it into what the
// manager takes, with every fault at once, and serve configuration files too.
package api
