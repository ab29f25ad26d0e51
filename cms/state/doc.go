// Package state holds the records that a manager keeps, the ways in which they
// may change, and the port [Store] of what keeps them. It knows no clock: times
// are arguments.
package state
