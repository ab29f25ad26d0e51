package api

import (
	"context"
	"io"
	"time"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/metrics"
	"github.com/elastipod/elastipod/pod"
)

// manager is what the API needs of a [cms.Manager].
type manager interface {
	Ready() <-chan struct{}
	Cluster() cms.ClusterStatus
	Init(ctx context.Context) ([]cms.PodStatus, error)
	Policies() *elastic.Registry

	Backup(ctx context.Context, w io.Writer) error
	Restore(ctx context.Context, r io.Reader, o cms.RestoreOptions) (cms.Restored, error)

	podManager
	nodeManager
	hostManager

	Balancer() cms.BalancerStatus
	NextEvent() uint64
	Subscribe(after uint64, buffer int) *cms.Subscription
}

type podManager interface {
	Pods() []cms.PodStatus
	Pod(name string) (cms.PodStatus, error)
	CreatePod(ctx context.Context, s cms.PodSpec) (cms.PodStatus, error)
	UpdatePod(ctx context.Context, s cms.PodSpec) (cms.PodStatus, error)
	DeletePod(ctx context.Context, name string) (cms.PodStatus, error)
	RestartPod(ctx context.Context, name string) (cms.PodStatus, error)
	Pause(ctx context.Context, pod string) (cms.PodStatus, error)
	Resume(ctx context.Context, pod string) (cms.PodStatus, error)
	PauseRollout(ctx context.Context, pod string) (cms.PodStatus, error)
	ResumeRollout(ctx context.Context, pod string) (cms.PodStatus, error)
	UndoRollout(ctx context.Context, pod string, number uint64) (cms.PodStatus, error)
	Launch(ctx context.Context, pod string) (cms.NodeStatus, error)
	SetElasticity(ctx context.Context, pod string, e cms.Elasticity) (cms.PodStatus, error)
	WaitPod(ctx context.Context, name string, done func(cms.PodStatus) bool) (cms.PodStatus, error)
	Ticks(pod string, limit int) ([]cms.Tick, error)
	Samples(pod string, since time.Time) ([]metrics.Sample, error)
}

type nodeManager interface {
	RegisterNode(ctx context.Context, pod, node string) (cms.NodeStatus, error)
	RemoveNode(ctx context.Context, pod, node string) (cms.NodeStatus, error)
	Node(pod, node string) (cms.NodeStatus, error)
	Logs(ctx context.Context, pod, node string, o pod.LogOptions) (io.ReadCloser, error)
}

type hostManager interface {
	Hosts() []cms.HostStatus
	Host(name string) (cms.HostStatus, error)
	AddHost(ctx context.Context, h pod.Host) (cms.HostStatus, error)
	CordonHost(ctx context.Context, name string, cordoned bool) (cms.HostStatus, error)
	RemoveHost(ctx context.Context, name string, drain bool) (cms.HostStatus, error)
}

// subscription is what the API needs of a [cms.Subscription].
type subscription interface {
	Next(ctx context.Context) (cms.Event, error)
	Close()
}
