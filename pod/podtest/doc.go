// Package podtest tests runtimes, and what is built on them.
//
// [FakeHost] is a machine in memory; the runtimes that it opens ([Fake]) obey
// the whole contract of [pod.Runtime], do no I/O and start no goroutine of their
// own, so that loops over them can be tested in a testing/synctest bubble.
//
// [Run] is the conformance suite that every runtime passes, the fake included.
// Its nodes run a small program: [HelperMain] inside of a test binary, or the
// command in the directory helper, built on its own for runtimes that need an
// image.
package podtest
