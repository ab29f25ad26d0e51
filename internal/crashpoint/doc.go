// Package crashpoint names the places at which tests kill the manager: inside
// every step that changes something outside of its memory. A server that is
// built with the tag crashpoint ends at the point that it is told, as SIGKILL
// would end it; in any other build a point is an empty function, of which
// nothing is left.
package crashpoint
