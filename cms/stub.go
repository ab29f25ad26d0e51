package cms

import (
	"context"
	"io"
	"time"

	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/metrics"
	"github.com/elastipod/elastipod/pod"
)

type Manager struct{}

func New(Config) (*Manager, error)                                                { panic("stub") }
func (m *Manager) Run(context.Context) error                                      { panic("stub") }
func (m *Manager) Start(context.Context) (func(context.Context) error, error)     { panic("stub") }
func (m *Manager) Ready() <-chan struct{}                                         { panic("stub") }
func (m *Manager) Halt(context.Context) error                                     { panic("stub") }
func (m *Manager) Policies() *elastic.Registry                                    { panic("stub") }
func (m *Manager) Cluster() ClusterStatus                                         { panic("stub") }
func (m *Manager) StoreError() error                                              { panic("stub") }
func (m *Manager) Pods() []PodStatus                                              { panic("stub") }
func (m *Manager) Pod(string) (PodStatus, error)                                  { panic("stub") }
func (m *Manager) Init(context.Context) ([]PodStatus, error)                      { panic("stub") }
func (m *Manager) SetDefaultPods([]PodSpec)                                       { panic("stub") }
func (m *Manager) CreatePod(context.Context, PodSpec) (PodStatus, error)          { panic("stub") }
func (m *Manager) UpdatePod(context.Context, PodSpec) (PodStatus, error)          { panic("stub") }
func (m *Manager) DeletePod(context.Context, string) (PodStatus, error)           { panic("stub") }
func (m *Manager) RestartPod(context.Context, string) (PodStatus, error)          { panic("stub") }
func (m *Manager) Pause(context.Context, string) (PodStatus, error)               { panic("stub") }
func (m *Manager) Resume(context.Context, string) (PodStatus, error)              { panic("stub") }
func (m *Manager) PauseRollout(context.Context, string) (PodStatus, error)        { panic("stub") }
func (m *Manager) ResumeRollout(context.Context, string) (PodStatus, error)       { panic("stub") }
func (m *Manager) UndoRollout(context.Context, string, uint64) (PodStatus, error) { panic("stub") }
func (m *Manager) SetElasticity(context.Context, string, Elasticity) (PodStatus, error) {
	panic("stub")
}
func (m *Manager) WaitPod(context.Context, string, func(PodStatus) bool) (PodStatus, error) {
	panic("stub")
}
func (m *Manager) Ticks(string, int) ([]Tick, error)                                { panic("stub") }
func (m *Manager) Samples(string, time.Time) ([]metrics.Sample, error)              { panic("stub") }
func (m *Manager) RegisterNode(context.Context, string, string) (NodeStatus, error) { panic("stub") }
func (m *Manager) Launch(context.Context, string) (NodeStatus, error)               { panic("stub") }
func (m *Manager) RemoveNode(context.Context, string, string) (NodeStatus, error)   { panic("stub") }
func (m *Manager) Node(string, string) (NodeStatus, error)                          { panic("stub") }
func (m *Manager) Logs(context.Context, string, string, pod.LogOptions) (io.ReadCloser, error) {
	panic("stub")
}
func (m *Manager) Hosts() []HostStatus                                          { panic("stub") }
func (m *Manager) Host(string) (HostStatus, error)                              { panic("stub") }
func (m *Manager) AddHost(context.Context, pod.Host) (HostStatus, error)        { panic("stub") }
func (m *Manager) CordonHost(context.Context, string, bool) (HostStatus, error) { panic("stub") }
func (m *Manager) RemoveHost(context.Context, string, bool) (HostStatus, error) { panic("stub") }
func (m *Manager) Balancer() BalancerStatus                                     { panic("stub") }
func (m *Manager) Events(uint64) ([]Event, uint64)                              { panic("stub") }
func (m *Manager) NextEvent() uint64                                            { panic("stub") }
func (m *Manager) Subscribe(uint64, int) *Subscription                          { panic("stub") }
func (m *Manager) Backup(context.Context, io.Writer) error                      { panic("stub") }
func (m *Manager) Restore(context.Context, io.Reader, RestoreOptions) (Restored, error) {
	panic("stub")
}

type Restored struct {
	// Kept names the copy of the store as it was before; empty of a dry run.
	Kept string
	// EventID is the id of the last event that the backup may know of.
	EventID uint64
	// Hosts are those that were added, and Created, Updated and Deleted the pods,
	// each sorted by name. What is deleted is drained first, and takes its time.
	Hosts, Created, Updated, Deleted []string
	// Unchanged are the pods that were as in the backup already.
	Unchanged []string
	// Problems says in sentences what could not be done; the rest was.
	Problems []string
}

type RestoreOptions struct {
	// AnyCluster allows a backup of another cluster.
	AnyCluster bool
	// DryRun changes nothing.
	DryRun bool
}
