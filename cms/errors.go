package cms

import (
	"errors"
	"fmt"

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
	// ErrBalancer says that the balancer did not do what a change needs.
	ErrBalancer = errors.New("the balancer failed")
	// ErrUnsaved says that a change could not be saved, so that nothing was changed.
	ErrUnsaved = errors.New("not saved")
	// ErrNotRunning says that the manager has not started yet, or has stopped.
	ErrNotRunning = errors.New("the manager is not running")
)

// Fault is one thing that is wrong with a value.
type Fault = fault.Fault

// Faults is every fault of one value, and an error.
type Faults = fault.List

// Refusal is why the manager did not do what was asked: a kind, which is one of
// the errors above, and a sentence for a person that says what to do. [errors.Is]
// finds the kind; Error returns the sentence.
type Refusal struct {
	Kind error  // one of the errors of this package
	Text string // what to do, for a person
}

// Error returns the sentence.
func (r *Refusal) Error() string { return r.Text }

// Unwrap returns the kind.
func (r *Refusal) Unwrap() error { return r.Kind }

func refuse(kind error, format string, args ...any) error {
	return &Refusal{Kind: kind, Text: fmt.Sprintf(format, args...)}
}
