package pod

import (
	"errors"

	"github.com/elastipod/elastipod/internal/fault"
)

// Errors that a [Runtime] returns, wrapped with the operation and the object.
// Test for them with [errors.Is].
var (
	// ErrNotFound says that a node does not exist on the host.
	ErrNotFound = errors.New("pod: not found")
	// ErrImage says that an image is neither on the host nor can be pulled.
	ErrImage = errors.New("pod: image or program not available")
	// ErrUnreachable says that the host did not answer; nothing is known of its
	// nodes, which may well be running.
	ErrUnreachable = errors.New("pod: host unreachable")
	// ErrUnsupported says that this runtime cannot do what was asked, whatever
	// is tried again.
	ErrUnsupported = errors.New("pod: not supported by this runtime")
	// ErrForeign says that the host carries nodes of a cluster of the same name
	// but another id: another manager's, or ours from before its store was lost.
	ErrForeign = errors.New("pod: cluster name in use by another manager")
	// ErrExited says that a node ended before it had started.
	ErrExited = errors.New("pod: node exited at start")
)

// Fault is one thing that is wrong with a value: its field path, the problem,
// and what is allowed.
type Fault = fault.Fault

// Faults is every fault of one value, and an error. Get at it with
// errors.As(err, &faults).
type Faults = fault.List
