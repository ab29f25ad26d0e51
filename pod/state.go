package pod

import (
	"fmt"
	"slices"
)

// State is where a node is in its life, as the manager sees it.
type State uint8

// The states of a node. The zero State is not valid.
const (
	StateInvalid  State = iota
	StateNew            // registered, not launched
	StateStarting       // being started, or started and not ready yet
	StateOnline         // ready: it takes requests
	StateStandby        // frozen, ready to be thawed
	StateDraining       // takes no new requests, ends when idle or at its deadline
	StateFailed         // ended or could not be started; its reason says why
	StateGone           // nothing is left of it
)

var stateNames = [...]string{"invalid", "new", "starting", "online", "standby", "draining", "failed", "gone"}

// transitions is the one table of what may follow what.
var transitions = [...][]State{
	StateInvalid:  {StateNew},
	StateNew:      {StateStarting, StateFailed, StateGone},
	StateStarting: {StateOnline, StateStandby, StateDraining, StateFailed},
	StateOnline:   {StateStandby, StateDraining, StateFailed},
	StateStandby:  {StateOnline, StateDraining, StateFailed},
	StateDraining: {StateGone, StateFailed},
	StateFailed:   {StateGone},
	StateGone:     nil,
}

// States returns every valid state, in the order of a node's life.
func States() []State {
	return []State{StateNew, StateStarting, StateOnline, StateStandby, StateDraining, StateFailed, StateGone}
}

// String returns the state's name in the API: "new", "starting", "online",
// "standby", "draining", "failed" or "gone".
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// ParseState returns the state of that name.
func ParseState(name string) (State, error) {
	for _, s := range States() {
		if s.String() == name {
			return s, nil
		}
	}
	return StateInvalid, fmt.Errorf("pod: unknown node state %q", name)
}

// MarshalText implements [encoding.TextMarshaler].
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *State) UnmarshalText(text []byte) error {
	parsed, err := ParseState(string(text))
	if err != nil {
		return err
	}
	*s = parsed
	return nil
}

// CanBecome says whether a node in state s may go to state next at once.
func (s State) CanBecome(next State) bool {
	return int(s) < len(transitions) && slices.Contains(transitions[s], next)
}

// Live says whether something of a node in this state may be running on a host,
// so that it holds a reservation there.
func (s State) Live() bool {
	return s == StateStarting || s == StateOnline || s == StateStandby || s == StateDraining
}
