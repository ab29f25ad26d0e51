// Package e2e holds the end-to-end tests: the server and the cloud command as
// their users run them, on real Docker Engines and HAProxy and on the embedded
// stack, under open-loop load of which every request is accounted for. They are
// built with the tag e2e and run by "make e2e".
package e2e
