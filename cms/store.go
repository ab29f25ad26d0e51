package cms

import (
	"context"
	"errors"
	"time"

	"github.com/elastipod/elastipod/pod"
)

// Store keeps what must not be lost: hosts, pods, nodes, wanted counts and
// settings. One manager uses it at a time. Its methods may be called by several
// goroutines; two changes of the same pod are never made at the same time.
type Store interface {
	// Load returns everything. The first call on an empty store makes the
	// cluster's id and keeps it. [ErrStoreVersion] when the data are of a
	// version that this program doesn't know; they are left as they are.
	Load(ctx context.Context) (State, error)

	// Save makes the change, all of it or nothing; when it returns nil the
	// change is durable. It blocks for milliseconds. On an error the store is
	// as it was.
	Save(ctx context.Context, c Change) error

	// Close releases the store. It is safe to call twice.
	Close() error
}

// Errors of a [Store].
var (
	// ErrStoreVersion says that the data were written by a newer version.
	ErrStoreVersion = errors.New("cms: store written by a newer version")
	// ErrStoreLocked says that another process uses the store.
	ErrStoreLocked = errors.New("cms: store in use by another process")
	// ErrStoreCorrupt says that the data cannot be read; they are left as they are.
	ErrStoreCorrupt = errors.New("cms: store corrupt")
)

// State is everything that a store keeps. Pods and hosts are sorted by name.
type State struct {
	ClusterID string
	Hosts     []HostRecord
	Pods      []PodRecord
	// EventID is below every event id that will be used from now on.
	EventID uint64
}

// Change is a set of changes that are made together. A zero field changes
// nothing.
type Change struct {
	PutHosts    []HostRecord
	DeleteHosts []string
	PutPods     []PodRecord
	DeletePods  []string
	EventID     uint64
}

// HostRecord is what a store keeps of a host.
type HostRecord struct {
	Host     pod.Host
	Draining bool `json:",omitempty"`
}

// PodRecord is what a store keeps of a pod.
type PodRecord struct {
	Spec       PodSpec
	Elasticity Elasticity
	CreatedAt  time.Time
	Want       int
	Paused     bool `json:",omitempty"`
	Deleting   bool `json:",omitempty"`
	// Serial is the number of the node that was named last by the manager.
	Serial uint64
	Nodes  []NodeRecord
	// PolicyMemory is what the policy of that kind marshalled.
	PolicyMemory []byte `json:",omitempty"`
}

// NodeRecord is what a store keeps of a node.
type NodeRecord struct {
	Name      string
	State     pod.State
	Host      string            `json:",omitempty"`
	Revision  string            `json:",omitempty"`
	Endpoints map[string]string `json:",omitempty"`
	Handle    string            `json:",omitempty"`
	CreatedAt time.Time
	StartedAt time.Time `json:",omitzero"`
	ReadyAt   time.Time `json:",omitzero"`
	// DrainBy is when a draining node is stopped at the latest.
	DrainBy time.Time `json:",omitzero"`
	Reason  string    `json:",omitempty"`
}
