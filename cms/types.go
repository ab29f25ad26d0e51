package cms

import (
	"github.com/elastipod/elastipod/cms/internal/events"
	"github.com/elastipod/elastipod/cms/reconcile"
	"github.com/elastipod/elastipod/cms/state"
)

// What a store keeps; see package state.
type (
	Store          = state.Store
	Archiver       = state.Archiver
	State          = state.State
	Change         = state.Change
	PodRecord      = state.Pod
	NodeRecord     = state.Node
	HostRecord     = state.Host
	RevisionRecord = state.Revision
	RolloutRecord  = state.Rollout
	RolloutState   = state.RolloutState
	PodSpec        = state.PodSpec
	Front          = state.Front
	Update         = state.Update
	UpdateStrategy = state.UpdateStrategy
	CanaryStep     = state.CanaryStep
	Elasticity     = state.Elasticity
	Mode           = state.Mode
)

// What is wrong; see package reconcile.
type (
	Problem     = reconcile.Problem
	ProblemCode = reconcile.Code
	Reason      = reconcile.Fault
)

// What happens; see packages reconcile and events.
type (
	Event        = reconcile.Event
	EventType    = reconcile.EventType
	Tick         = reconcile.Tick
	Subscription = events.Subscription
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
