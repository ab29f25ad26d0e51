// Package apifuzz has tests that send hostile requests to the API. They are made
// from the API's own OpenAPI document: some as the document says, some with a few
// values that are not, some that are no requests at all. What is sent follows
// from a seed:
//
//	go test ./internal/apifuzz -hostile.requests 100000 -hostile.seed 2
package apifuzz
