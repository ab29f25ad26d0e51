package wire

import "time"

// Update says how nodes are replaced when what they run changes.
type Update struct {
	Strategy       string       `json:"strategy,omitempty" doc:"\"rolling\" (the default), \"blue-green\" or \"canary\"."`
	MaxSurge       *int         `json:"max_surge,omitempty" doc:"How many nodes more than wanted there may be meanwhile. Default 1."`
	MaxUnavailable int          `json:"max_unavailable,omitempty" doc:"How many nodes fewer than wanted may be ready meanwhile. Default 0. Where there is no room for a new node beside the old ones, one of two or more ready nodes still goes first; the only ready one goes first with 1 or more, and else the rollout waits."`
	MinReady       Duration     `json:"min_ready,omitempty" doc:"How long a new node must be online before an old one goes for it. Default 0s."`
	Failures       *int         `json:"failures,omitempty" doc:"How many new nodes may fail before the pod goes back to what it ran before. 0: it never goes back by itself. Default 3."`
	MaxErrors      float64      `json:"max_errors,omitempty" doc:"The fraction of requests to new nodes that may fail before the pod goes back. Default 0.05 for a canary, otherwise 1: not looked at."`
	Steps          []CanaryStep `json:"steps,omitempty" doc:"Of a canary. Default: 10 % for 30 s, then 50 % for 30 s."`
}

// CanaryStep is one step of a canary.
type CanaryStep struct {
	Weight int      `json:"weight" doc:"The percentage of requests that new nodes are given, 1 to 99."`
	Pause  Duration `json:"pause,omitempty" doc:"How long the step lasts once its nodes are ready. Default 30s."`
}

// Rollout is how far a change of what a pod runs is.
type Rollout struct {
	State     string     `json:"state" doc:"\"progressing\", \"paused\", \"done\" or \"rolled-back\"."`
	Reason    string     `json:"reason,omitempty" doc:"How it came to this state."`
	Strategy  string     `json:"strategy" doc:"That of the pod's update."`
	From      uint64     `json:"from" doc:"Number of the revision that the pod ran before."`
	To        uint64     `json:"to" doc:"Number of the revision that it shall run."`
	Step      int        `json:"step,omitempty" doc:"Of a canary, from 0; beyond the last step all other nodes are rolled. Of blue-green, 1 once changed over."`
	Steps     int        `json:"steps,omitempty" doc:"How many steps a canary has."`
	Weight    int        `json:"weight,omitempty" doc:"Of a canary's step: the percentage of requests that new nodes are given."`
	Failures  int        `json:"failures,omitempty" doc:"New nodes that failed."`
	New       int        `json:"new" doc:"Launched nodes that are as they shall be."`
	Ready     int        `json:"ready" doc:"Those of them that are online for long enough."`
	Old       int        `json:"old" doc:"Launched nodes that are not."`
	StartedAt time.Time  `json:"started_at" doc:"When the settings changed."`
	EndedAt   *time.Time `json:"ended_at,omitempty" doc:"When it was over; absent before."`
}

// RevisionRecord is what a pod ran once. The same workload may be several
// revisions: after a restart, or where the tag of its image moved.
type RevisionRecord struct {
	Number   uint64    `json:"number" doc:"Counts from 1 in the pod."`
	At       time.Time `json:"at" doc:"When it was first set."`
	Digest   string    `json:"digest,omitempty" doc:"Content of its image, which every node of it runs; absent where there is none, or while no host has been asked for it."`
	Reason   string    `json:"reason,omitempty" doc:"How it came about."`
	Current  bool      `json:"current" doc:"The pod's settings say this."`
	Workload Workload  `json:"workload" doc:"Complete."`
	Limits   Limits    `json:"limits" doc:"Complete."`
}

// Rollouts is the last rollout of a pod and what it ran so far.
type Rollouts struct {
	Rollout   *Rollout         `json:"rollout" doc:"Null when the pod never ran anything else."`
	Revisions []RevisionRecord `json:"revisions" doc:"Oldest first; at least the last ten are kept."`
}

// Undo says where to go back to.
type Undo struct {
	Revision uint64 `json:"revision,omitempty" doc:"A revision's number. Default: what the pod ran before its last rollout."`
}
