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
	// ErrImage says that an image, or a program, does not exist: it is not on the
	// host, and its registry does not have it or its pull policy forbids to ask.
	// Trying the same again does not help.
	ErrImage = errors.New("pod: no such image or program")
	// ErrImageDenied says that the registry denies access to an image, or that its
	// credentials are missing. A registry that hides what it has, such as Docker
	// Hub, says the same of an image that does not exist. Trying the same again
	// does not help.
	ErrImageDenied = errors.New("pod: access to the image is denied")
	// ErrImageElsewhere says that an image is pinned by its id and that this host
	// lacks it: it was built or loaded on another host and comes from no registry.
	// Other hosts may have it.
	ErrImageElsewhere = errors.New("pod: image exists on another host only")
	// ErrRegistry says that a registry did not deliver an image now: it limits the
	// rate, is out of order, or cannot be reached from the host. Trying again may
	// help.
	ErrRegistry = errors.New("pod: the registry did not deliver")
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
