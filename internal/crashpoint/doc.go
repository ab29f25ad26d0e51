// Package crashpoint names the places at which tests kill the manager: before and
// after each call of a port, and inside every step of a backend that changes
// something. A server that is built with the tag crashpoint ends at the point
// that it is told, as SIGKILL would end it. In any other build a point is an
// empty function, and package serve does not wrap the ports.
package crashpoint
