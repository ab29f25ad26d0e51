package reconcile

import (
	"time"

	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/internal/fault"
	"github.com/elastipod/elastipod/pod"
)

// Plan is what to do about a pod: first what is in Before, then the commit where
// Changed says that there is one, then what is in After.
type Plan struct {
	Pod      state.Pod // the record after this turn
	Changed  bool      // Pod is to be saved
	Gone     bool      // the record is to be deleted, and the loop ends
	Memory   Memory    // what the next turn is to remember
	Before   []Action
	After    []Action
	Reserve  []Hold        // what this plan places, to be granted before all else
	Holds    []Hold        // all that the pod holds after the commit
	Claims   []state.Front // fronts whose names and addresses nobody else may have
	Look     Look          // what to observe soon
	Ticks    []Tick        // as recorded and shown: that of a deciding turn, and those that commands made
	Events   []Event       // to be told after the commit
	Problems []Problem     // all that is wrong now; times are steady ones
	Answers  []Answer      // to commands, given once the plan is published
	Wake     time.Time     // when to look again at the latest
	Status   Status        // what others are shown
}

// Hold is what a node holds on its host.
type Hold struct {
	Node, Host string        // who holds it where
	Limits     pod.Resources // what the node may use
}

// Look is what the loop needs to see sooner than the next tick.
type Look struct {
	Balancer bool // observe it now
	// Waiting counts the nodes and fronts whose requests are being waited for:
	// while there are some the balancer is observed often.
	Waiting int
}

// Status is what others are shown beside the record.
type Status struct {
	Converged bool // what runs and takes requests is what should
	Fresh     int  // launched nodes that run the current revision
	Ready     int  // of these, online for long enough
	Old       int  // launched nodes that run something else
}

// Answer answers a command.
type Answer struct {
	ID     uint64      // the command's
	Kind   AnswerKind  // how the command ended
	Text   string      // why it was refused, for a person
	Faults fault.List  // what is wrong with what was asked; of AnswerInvalid
	Node   *state.Node // the node that it was about, as it is now
}

// AnswerKind is how a command ended.
type AnswerKind string

// How commands end.
const (
	AnswerDone     AnswerKind = ""
	AnswerConflict AnswerKind = "conflict"
	AnswerExists   AnswerKind = "exists"
	AnswerNotFound AnswerKind = "not-found"
	AnswerInvalid  AnswerKind = "invalid"
	AnswerFailed   AnswerKind = "failed"  // the balancer refused
	AnswerUnsaved  AnswerKind = "unsaved" // nothing can be saved
)

// Command is what somebody asked of a pod.
type Command struct {
	ID         uint64            // tells its answer from others
	Kind       CommandKind       // what is asked
	Cause      string            // trace context of the caller
	Spec       *state.PodSpec    // of create and update; complete
	Elasticity *state.Elasticity // of elasticity; with its policy as JSON
	Node       string            // of register and remove
	Number     uint64            // of undo: a revision; 0: the one before the last rollout
	On         bool              // of pause and rollout: pause, not resume
	Record     *state.Pod        // of restore: what the pod shall be like
	Fresh      bool              // of restore: the pod was just created
}

// CommandKind is what a [Command] asks for.
type CommandKind string

// The commands.
const (
	CommandCreate     CommandKind = "create"
	CommandUpdate     CommandKind = "update"
	CommandDelete     CommandKind = "delete"
	CommandPause      CommandKind = "pause"
	CommandElasticity CommandKind = "elasticity"
	CommandRegister   CommandKind = "register"
	CommandLaunch     CommandKind = "launch"
	CommandRemove     CommandKind = "remove"
	CommandRollout    CommandKind = "rollout"
	CommandUndo       CommandKind = "undo"
	CommandRestart    CommandKind = "restart"
	CommandFit        CommandKind = "fit"     // lower bounds to what a restored spec allows
	CommandRestore    CommandKind = "restore" // settings of a backup
)
