// Command mutants plants small bugs into a package, one at a time, and runs the
// package's tests on each: a bug that no test notices shows what the tests do not
// ask about.
//
//	go run ./internal/mutants -skip TestModel ./cms scale.go retire.go
//
// All bugs are compiled into one test binary, behind switches that the
// environment sets, so that a bug costs a run of the tests that reach it and no
// compilation. The sources are left alone: the go command reads the changed ones
// through an overlay.
//
// Bugs are: a comparison negated or off by one, "and" instead of "or", a
// condition negated, a statement left out, one added where one is subtracted, the
// smaller instead of the larger.
package main
