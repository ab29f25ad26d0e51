// Package cmstest tests stores, and what is built on them.
//
// [Store] keeps everything in memory and obeys the whole contract of
// [cms.Store]; it does no I/O and starts no goroutine, so that loops over it can
// be tested in a testing/synctest bubble. [RunStore] is the conformance suite
// that every store passes, this one included.
package cmstest
