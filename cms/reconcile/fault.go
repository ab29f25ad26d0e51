package reconcile

// Fault is why something failed, as a value: a code for programs, and words for
// a person. The zero Fault says that nothing failed.
type Fault struct {
	Code FaultCode `json:",omitempty"` // what kind of failure it is; empty where nothing failed
	Text string    `json:",omitempty"` // for a person, without the names of functions or packages
}

// FaultCode is what kind of failure a [Fault] is.
type FaultCode string

// The kinds of failures.
const (
	FaultImage       FaultCode = "image-not-found"     // no such image or program; final
	FaultDenied      FaultCode = "image-access-denied" // the registry denies access; final
	FaultElsewhere   FaultCode = "image-elsewhere"     // the image is on another host only, and in no registry
	FaultRegistry    FaultCode = "registry-failed"     // the registry did not deliver now
	FaultUnsupported FaultCode = "unsupported"         // the runtime cannot do that
	FaultExited      FaultCode = "exited"              // the node ended before it was ready
	FaultNotReady    FaultCode = "not-ready"           // the node did not pass its probe in time
	FaultUnreachable FaultCode = "host-unreachable"    // the host did not answer
	FaultForeign     FaultCode = "foreign"             // the host belongs to another manager
	FaultSecret      FaultCode = "secret-missing"      // a secret cannot be read
	FaultCanceled    FaultCode = "canceled"            // somebody gave it up
	FaultTimeout     FaultCode = "timed-out"           // no answer in time
	FaultAddress     FaultCode = "address-in-use"      // another program listens on a front's address
	FaultNoFront     FaultCode = "no-front"            // the balancer does not have the front
	FaultBalancer    FaultCode = "balancer-failed"     // the balancer does not answer or refused
	FaultStoreFull   FaultCode = "store-full"          // the store has no room
	FaultStore       FaultCode = "store-failed"        // a change cannot be saved
	FaultOther       FaultCode = "failed"              // anything else
)

// OK says that nothing failed.
func (f Fault) OK() bool { return f.Code == "" }

// Final says that trying the same again will not help.
func (f Fault) Final() bool { return f.Code == FaultImage || f.Code == FaultDenied }
