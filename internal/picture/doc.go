// Package picture draws what a pod did: its demand against its nodes, its CPU
// between the two thresholds, and each decision with its sentence. The drawing is
// an SVG that follows the reader's light or dark theme and loads nothing.
//
//	go test ./internal/picture -update -record
//
// runs the demo, records it into testdata, and draws the README's picture of it;
// without -record it draws the last recording anew.
package picture
