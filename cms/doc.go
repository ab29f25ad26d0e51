// Package cms is the manager of a cluster of elastic pods. A [Manager] runs one
// loop a pod that observes it, decides how many nodes it should have, acts and
// records; it places nodes on hosts, keeps the balancer's servers equal to the
// nodes that are online, and keeps everything that must not be lost in a
// [Store].
//
// The package knows no backend: a program hands it a balancer, a store and a
// function that opens runtimes.
//
// # The life of a manager
//
// [New] checks a [Config] and starts nothing. [Manager.Run] loads the store, opens
// the hosts, adopts the nodes and servers that are there, closes [Manager.Ready],
// and manages until its context ends; nodes and servers stay as they are then, for
// the next manager. [Manager.Halt] before that drains and stops the nodes.
//
// # Commands and reads
//
// Commands such as [Manager.CreatePod], [Manager.SetElasticity] or
// [Manager.Pause] go to the pod's loop, which is the one writer of its state, and
// return once the change is in the store; it is carried out after that. Reads such
// as [Manager.Pod] return an immutable picture and never wait. [Manager.WaitPod]
// waits until a picture is as the caller wants it, and [Manager.Subscribe] tells of
// everything that happens.
//
// Nodes are launched by hand ([Manager.RegisterNode], [Manager.Launch],
// [Manager.RemoveNode]) while a pod's elasticity is off, and by its policy while it
// is on: those commands answer [ErrConflict] then.
//
// # A tick
//
// Once a [Config.Tick], and at once when a node dies, a loop makes an observation of
// what hosts and balancer said last, asks the pod's policy, bounds its wish by the
// pod's limits and by the room on its hosts, and records all of it as a [Tick] with
// its reasons. Then it closes the difference between what should be and what is:
// it places and starts nodes, probes them, gives them to the balancer, drains those
// that are too many until nothing is in flight, and stops them. Nothing that takes
// long holds up the next tick. A failed observation freezes the wanted number.
//
// README.md says what is promised, and what is not.
package cms
