// Package webhook tells other programs of a cluster's events: a [Sender] follows
// a manager and sends each event that a target wants as a JSON body by HTTP POST,
// signed as the Standard Webhooks specification says, in order, and retried until
// the target takes it or it is given up. No target waits for another, and the
// manager waits for none.
//
// Targets come from whoever runs the server, never from its API: a sender reaches
// whatever address it is given, inside of the network too.
package webhook
