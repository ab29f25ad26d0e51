// Package docs holds no code: its tests read what the project says of itself and
// compare it with what is there. Links lead somewhere, every exported name has a
// comment, Go snippets are regions of files that are compiled and tested, and
// YAML is read by the parser that its users meet. The lines of the guides that
// can be run are run by package e2e.
//
//	go test ./internal/docs -update
//
// writes Go snippets anew from the regions that they name.
package docs
