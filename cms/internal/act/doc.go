// Package act does what plans say: it calls runtimes and the balancer, and answers
// with results. It owns every goroutine that does so.
package act
