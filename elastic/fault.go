package elastic

import "github.com/elastipod/elastipod/internal/fault"

// Fault is one thing that is wrong with a policy as it was written down: the
// path of its field, such as "policy.lower", the problem, and what is allowed.
type Fault = fault.Fault

// Faults is everything that is wrong with a policy, and an error. Get at it
// with errors.As(err, &faults).
type Faults = fault.List
