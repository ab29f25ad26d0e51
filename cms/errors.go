package cms

import (
	"errors"

	"github.com/elastipod/elastipod/internal/fault"
)

// Errors of a [Manager], wrapped with the operation and the object. Their
// messages say what to do.
var (
	// ErrNotFound says that a pod, node or host does not exist.
	ErrNotFound = errors.New("not found")
	// ErrExists says that a pod, node or host of that name is there already.
	ErrExists = errors.New("exists already")
	// ErrConflict says that the state of the pod or host forbids what was asked.
	ErrConflict = errors.New("conflict")
	// ErrNotRunning says that the manager has not started yet, or has stopped.
	ErrNotRunning = errors.New("the manager is not running")
)

// Fault is one thing that is wrong with a value.
type Fault = fault.Fault

// Faults is every fault of one value, and an error.
type Faults = fault.List
