// Package client talks to the REST API of an elastipod server. It needs the
// types of package wire and nothing else of the module.
//
// Each operation is a method; errors of the server are [*Error], which carry
// what is wrong and what to do. Streams of events resume by themselves.
package client
