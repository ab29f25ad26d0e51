package reconcile

import "time"

// Event is something that happened in the cluster. A manager keeps the last ones
// in memory only; after a restart it begins with none, and goes on with the ids.
type Event struct {
	// ID grows with each event, also over restarts of the manager; 0 for ticks,
	// which are not kept.
	ID   uint64
	At   time.Time // when it happened
	Type EventType // what happened
	// Pod, Node and Host name what it is about, where that applies.
	Pod, Node, Host string
	// Message is a sentence for a person.
	Message string
	// Cut is how many requests and connections were cut; of [EventNodeCut].
	Cut int
	// Tick is set for [EventTick] and [EventScaled].
	Tick *Tick
}

// EventType is what kind of thing happened.
type EventType string

// The types of events.
const (
	EventPodCreated        EventType = "pod.created"
	EventPodUpdated        EventType = "pod.updated"
	EventPodPaused         EventType = "pod.paused"
	EventPodResumed        EventType = "pod.resumed"
	EventPodDeleting       EventType = "pod.deleting"
	EventPodDeleted        EventType = "pod.deleted"
	EventElasticityChanged EventType = "pod.elasticity"
	EventScaled            EventType = "pod.scaled" // the wanted number changed
	EventProblem           EventType = "pod.problem"
	EventNodeRegistered    EventType = "node.registered"
	EventNodeStarting      EventType = "node.starting"
	EventNodeOnline        EventType = "node.online"
	EventNodeDraining      EventType = "node.draining"
	EventNodeDrained       EventType = "node.drained" // it has finished what it had
	EventNodeCut           EventType = "node.cut"     // its drain's deadline passed, and it still had requests
	EventNodeHung          EventType = "node.hung"    // it runs, and does not answer its probe
	EventNodeFailed        EventType = "node.failed"
	EventNodeGone          EventType = "node.gone"
	EventRolloutStarted    EventType = "rollout.started"
	EventRolloutStep       EventType = "rollout.step"
	EventRolloutPaused     EventType = "rollout.paused"
	EventRolloutResumed    EventType = "rollout.resumed"
	EventRolloutDone       EventType = "rollout.done"
	EventRolloutRolledBack EventType = "rollout.rolled-back"
	EventImagePulling      EventType = "image.pulling"
	EventImageRemoved      EventType = "image.removed" // nothing needs it any more
	EventHostAdded         EventType = "host.added"
	EventHostUpdated       EventType = "host.updated"
	EventHostRemoved       EventType = "host.removed"
	EventHostUnreachable   EventType = "host.unreachable"
	EventHostReachable     EventType = "host.reachable"
	EventStoreFailed       EventType = "store.failed"    // nothing can be saved, so nothing is changed
	EventStoreRecovered    EventType = "store.recovered" // it can again
	EventStoreRestored     EventType = "store.restored"  // pods are again as in a backup
	// EventBalancerIncident is something that happened to the balancer itself: it
	// died and was started again, it does not answer, others changed its files.
	EventBalancerIncident EventType = "balancer.incident"
	EventTick             EventType = "tick"
	// EventReset tells a subscriber that events between what it had seen and
	// what follows are not kept any more: it must read the state anew.
	EventReset EventType = "reset"
)

// EventTypes returns every type of event.
func EventTypes() []EventType {
	return []EventType{
		EventPodCreated, EventPodUpdated, EventPodPaused, EventPodResumed, EventPodDeleting, EventPodDeleted,
		EventElasticityChanged, EventScaled, EventProblem, EventNodeRegistered, EventNodeStarting, EventNodeOnline,
		EventNodeDraining, EventNodeDrained, EventNodeCut, EventNodeHung, EventNodeFailed, EventNodeGone, EventRolloutStarted,
		EventRolloutStep, EventRolloutPaused, EventRolloutResumed, EventRolloutDone, EventRolloutRolledBack, EventImagePulling, EventImageRemoved,
		EventHostAdded, EventHostUpdated, EventHostRemoved, EventHostUnreachable, EventHostReachable, EventStoreFailed,
		EventStoreRecovered, EventStoreRestored, EventBalancerIncident, EventTick, EventReset,
	}
}
