// Package reconcile decides what becomes of one pod: [Reconcile] takes a picture
// of the world and returns a plan. It is pure: the same [World] gives the same
// [Plan], so a decision can be recorded, made again and tested by itself. It has
// no context, clock, lock, goroutine or I/O, and no randomness but what the World
// brings.
package reconcile
