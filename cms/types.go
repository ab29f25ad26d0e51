package cms

import (
	"github.com/elastipod/elastipod/cms/internal/events"
	"github.com/elastipod/elastipod/cms/reconcile"
	"github.com/elastipod/elastipod/cms/state"
)

// What a store keeps; see package state.
type (
	Store          = state.Store          // the port of what keeps records
	Archiver       = state.Archiver       // a store that can be copied while it is used
	State          = state.State          // everything that a store keeps
	Change         = state.Change         // a set of changes that are made together
	PodRecord      = state.Pod            // a pod
	NodeRecord     = state.Node           // a node
	HostRecord     = state.Host           // a host
	RevisionRecord = state.Revision       // what a pod ran once
	RolloutRecord  = state.Rollout        // the last rollout of a pod
	RolloutState   = state.RolloutState   // how far a rollout is
	PodSpec        = state.PodSpec        // what a user sets of a pod
	Front          = state.Front          // where a pod takes requests
	Update         = state.Update         // how nodes are replaced
	UpdateStrategy = state.UpdateStrategy // how old nodes make room for new ones
	CanaryStep     = state.CanaryStep     // one step of a canary
	Elasticity     = state.Elasticity     // whether and how a pod scales by itself
	Mode           = state.Mode           // whether decisions are carried out
)

// What is wrong; see package reconcile.
type (
	Problem     = reconcile.Problem // something that is wrong now
	ProblemCode = reconcile.Code    // what kind of problem it is
	Reason      = reconcile.Fault   // why something failed
)

// What happens; see packages reconcile and events.
type (
	Event        = reconcile.Event     // something that happened in the cluster
	EventType    = reconcile.EventType // what kind of thing happened
	Tick         = reconcile.Tick      // one turn of a pod's loop that decided
	Subscription = events.Subscription // a stream of events
)

// ErrLagged says that a subscriber read too slowly and was dropped. It may
// subscribe again after the last event that it saw.
var ErrLagged = events.ErrLagged

// EventTypes returns every type of event.
func EventTypes() []EventType { return reconcile.EventTypes() }

// Errors of a [Store].
var (
	ErrStoreVersion = state.ErrStoreVersion
	ErrStoreLocked  = state.ErrStoreLocked
	ErrStoreFull    = state.ErrStoreFull
	ErrStoreCorrupt = state.ErrStoreCorrupt
)

// The states of a rollout, the strategies of an update and the modes of
// elasticity.
const (
	RolloutProgressing = state.RolloutProgressing
	RolloutPaused      = state.RolloutPaused
	RolloutDone        = state.RolloutDone
	RolloutRolledBack  = state.RolloutRolledBack

	Rolling   = state.Rolling
	BlueGreen = state.BlueGreen
	Canary    = state.Canary

	ModeAct    = state.ModeAct
	ModeDryRun = state.ModeDryRun
)

// Default values of an [Update] and an [Elasticity].
const (
	DefaultMaxSurge     = state.DefaultMaxSurge
	DefaultMaxFailures  = state.DefaultMaxFailures
	DefaultCanaryErrors = state.DefaultCanaryErrors
	DefaultCanaryPause  = state.DefaultCanaryPause
	GateRequests        = state.GateRequests
	DefaultPolicy       = state.DefaultPolicy
)

// The types of events.
const (
	EventPodCreated        = reconcile.EventPodCreated
	EventPodUpdated        = reconcile.EventPodUpdated
	EventPodPaused         = reconcile.EventPodPaused
	EventPodResumed        = reconcile.EventPodResumed
	EventPodDeleting       = reconcile.EventPodDeleting
	EventPodDeleted        = reconcile.EventPodDeleted
	EventElasticityChanged = reconcile.EventElasticityChanged
	EventScaled            = reconcile.EventScaled
	EventProblem           = reconcile.EventProblem
	EventNodeRegistered    = reconcile.EventNodeRegistered
	EventNodeStarting      = reconcile.EventNodeStarting
	EventNodeOnline        = reconcile.EventNodeOnline
	EventNodeDraining      = reconcile.EventNodeDraining
	EventNodeDrained       = reconcile.EventNodeDrained
	EventNodeCut           = reconcile.EventNodeCut
	EventNodeHung          = reconcile.EventNodeHung
	EventNodeFailed        = reconcile.EventNodeFailed
	EventNodeGone          = reconcile.EventNodeGone
	EventRolloutStarted    = reconcile.EventRolloutStarted
	EventRolloutStep       = reconcile.EventRolloutStep
	EventRolloutPaused     = reconcile.EventRolloutPaused
	EventRolloutResumed    = reconcile.EventRolloutResumed
	EventRolloutDone       = reconcile.EventRolloutDone
	EventRolloutRolledBack = reconcile.EventRolloutRolledBack
	EventImagePulling      = reconcile.EventImagePulling
	EventImageRemoved      = reconcile.EventImageRemoved
	EventHostAdded         = reconcile.EventHostAdded
	EventHostUpdated       = reconcile.EventHostUpdated
	EventHostRemoved       = reconcile.EventHostRemoved
	EventHostUnreachable   = reconcile.EventHostUnreachable
	EventHostReachable     = reconcile.EventHostReachable
	EventStoreFailed       = reconcile.EventStoreFailed
	EventStoreRecovered    = reconcile.EventStoreRecovered
	EventStoreRestored     = reconcile.EventStoreRestored
	EventBalancerIncident  = reconcile.EventBalancerIncident
	EventTick              = reconcile.EventTick
	EventReset             = reconcile.EventReset
)

// The codes of problems.
const (
	ProblemPolicy          = reconcile.ProblemPolicy
	ProblemStart           = reconcile.ProblemStart
	ProblemImage           = reconcile.ProblemImage
	ProblemDenied          = reconcile.ProblemDenied
	ProblemOverdue         = reconcile.ProblemOverdue
	ProblemDeaths          = reconcile.ProblemDeaths
	ProblemRoom            = reconcile.ProblemRoom
	ProblemSurge           = reconcile.ProblemSurge
	ProblemWaits           = reconcile.ProblemWaits
	ProblemRollback        = reconcile.ProblemRollback
	ProblemLost            = reconcile.ProblemLost
	ProblemServers         = reconcile.ProblemServers
	ProblemFront           = reconcile.ProblemFront
	ProblemLeftFront       = reconcile.ProblemLeftFront
	ProblemStop            = reconcile.ProblemStop
	ProblemOrphan          = reconcile.ProblemOrphan
	ProblemSettings        = reconcile.ProblemSettings
	ProblemStore           = reconcile.ProblemStore
	ProblemBalancer        = reconcile.ProblemBalancer
	ProblemHost            = reconcile.ProblemHost
	ProblemForeign         = reconcile.ProblemForeign
	ProblemBalancerTrouble = reconcile.ProblemBalancerTrouble
)
