package pod

import (
	"cmp"
	"context"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Runtime starts, stops and observes the nodes of one cluster on one host. It
// is opened for a [Cluster] and touches nothing that does not carry that
// cluster's labels.
//
// All methods may be called at the same time from several goroutines, return
// soon after their context ends, and wrap [ErrUnreachable] when the host did
// not answer.
type Runtime interface {
	// Observe returns the nodes of this cluster on the host, running or ended,
	// and the host's capacity and use. It takes milliseconds, never waits for a
	// sampling period, and may return values up to a second old. It returns
	// [ErrForeign] when the host carries nodes of a cluster of the same name
	// but another id.
	Observe(ctx context.Context) (Snapshot, error)

	// Start makes the node and returns once it runs (not: once it is ready).
	// It is idempotent by r.ID: when that node already runs it is returned as it
	// is; when it exists but has ended, what is left is removed and it is made
	// anew. On an error nothing is left behind, unless the host became
	// unreachable. Where r.Digest is set the node runs exactly that content, which
	// Start fetches by its digest where the host lacks it. [ErrImage],
	// [ErrImageDenied] and [ErrUnsupported] say that trying the same again will
	// not help; [ErrImageElsewhere] that this host lacks an image that only other
	// hosts have; [ErrRegistry] that trying again may help; [ErrExited] that the
	// node ended at once, with its last output in the message.
	Start(ctx context.Context, r StartRequest) (Node, error)

	// Stop signals the node to end, kills it and all that it started once grace
	// is over, and removes what it left behind; grace 0 kills at once. It
	// blocks until that is done. A node that does not exist is no error. When
	// ctx ends first the node may still be there; call again.
	//
	// The tail is the last output of the node, oldest line first, as [ReadTail]
	// bounds it, read just before what is left of the node is removed. It is nil
	// where the node did not exist, wrote nothing, its output cannot be read
	// within about 2 s, or Stop returns an error. Output that cannot be read is no
	// error.
	Stop(ctx context.Context, id NodeID, grace time.Duration) (tail []string, err error)

	// Extras returns the optional ports that this runtime has, the same each
	// time. A wrapper passes them on by returning them.
	Extras() Extras

	// Close releases connections and waits for goroutines. Nodes go on. It is
	// safe to call twice.
	Close() error
}

// Extras are optional ports of a [Runtime]; nil where not supported.
type Extras struct {
	Watcher   Watcher   // events sooner than a poll
	Preparer  Preparer  // pulls images
	Logger    Logger    // output of nodes
	Salvager  Salvager  // tells what a manager left that lost its store
	Collector Collector // removes images that it pulled
}

// Watcher tells of events sooner than a poll would.
type Watcher interface {
	// Watch calls f, one call at a time, for each node of the cluster that
	// starts, ends, changes its health, is frozen or thawed, until ctx ends or the
	// connection fails, and returns the reason. Events may be lost or repeated:
	// they are hints to observe again.
	Watch(ctx context.Context, f func(Event)) error
}

// Event is a hint that a node changed.
type Event struct {
	Node NodeID    // the node that changed
	Kind EventKind // what happened to it
}

// EventKind is what happened to a node.
type EventKind string

// What happens to nodes.
const (
	EventStarted EventKind = "started"
	EventEnded   EventKind = "ended"
	EventHealth  EventKind = "health"
	EventFrozen  EventKind = "frozen" // somebody froze it, such as with docker pause
	EventThawed  EventKind = "thawed" // it runs again after it was frozen
)

// Preparer makes a host ready to start nodes of a workload quickly.
type Preparer interface {
	// Prepare checks that the host can run the workload and fetches what it
	// needs, calling progress (which may be nil) now and then, one call at a
	// time. It is idempotent, and quick when nothing is to be done.
	//
	// With an empty digest Prepare resolves the workload's image by its pull
	// policy: [PullMissing] and [PullNever] take the host's own copy where there
	// is one, [PullAlways] asks the registry. The digest that it returns pins the
	// content for later calls, on any host.
	//
	// With a digest Prepare makes sure that the host has exactly that content,
	// whatever the image's tag means by now. A copy on the host is enough, for
	// [PullAlways] too; otherwise Prepare fetches the image by its digest, never
	// by its tag, unless the policy is [PullNever].
	//
	// Prepare returns [ErrImage], [ErrImageDenied], [ErrImageElsewhere],
	// [ErrRegistry], [ErrUnsupported] or [ErrUnreachable].
	Prepare(ctx context.Context, w Workload, digest string, progress func(Progress)) (Prepared, error)
}

// Progress is how far a pull is.
type Progress struct {
	Message string // a line for a person, such as "pulling nginx:1.27"
	Done    int64  // bytes
	Total   int64  // bytes; 0 while unknown
}

// Prepared is what a host holds for a workload.
type Prepared struct {
	// Digest pins the content of the image: "sha256:…" is the digest by which its
	// registry knows it, "id:sha256:…" the id of an image without a registry, one
	// that was built or loaded on the host. It is empty for runtimes without
	// images. It goes into the revision, so that a tag that moved is a new
	// revision.
	Digest string
}

// Collector removes images from a host: none but those that the runtime itself
// brought there.
type Collector interface {
	// Fetched returns the images that this runtime brought to the host since it
	// was opened: those that it fetched and whose content was not there before.
	// What was collected since is not among them. It does not block. Who wants
	// to collect them after a restart keeps the list.
	Fetched() []Image

	// Collect removes images that Fetched returned, of this runtime or of an
	// earlier one of the cluster, one after the other, and tells of each, in the
	// same order, what became of it. It leaves one that any of the names in keep
	// means on this host, that a container of anybody uses, running or ended,
	// that has another name than the one it was fetched by, or that Prepare or
	// Start was called for less than [RecentlyNeeded] ago. A start never waits
	// for it, but where it needs the very image that is being removed. On an
	// error what it returns is about the first images only.
	Collect(ctx context.Context, images []Image, keep []string) ([]Collected, error)
}

// RecentlyNeeded is for how long a [Collector] leaves an image that was asked for.
const RecentlyNeeded = 30 * time.Second

// Image is an image that a [Collector] brought to a host.
type Image struct {
	Name string // by which it was fetched: as the workload says it, or [PinnedImage]
	ID   string // of its content, as the host calls it
	Size int64  // bytes; other images may share some of them
}

// Collected is what became of an image.
type Collected struct {
	Image Image // as it was given
	// Removed says that it was removed now. Else Kept says, for a person, why it
	// stays; empty where it was gone before.
	Removed bool
	Kept    string
}

// Logger gives access to the output of nodes.
type Logger interface {
	// Logs returns the node's output, stdout and stderr interleaved, as plain
	// text. With Follow it goes on until the node ends, ctx ends or the reader
	// is closed. It returns [ErrNotFound] for an unknown node.
	Logs(ctx context.Context, id NodeID, o LogOptions) (io.ReadCloser, error)
}

// LogOptions select output.
type LogOptions struct {
	Tail   int  // last lines only; 0: all that is kept
	Follow bool // go on with what is written from then on
}

// MaxSettings is the most bytes that [StartRequest].Settings may hold.
const MaxSettings = 16 << 10

// Salvager finds what another manager of the same cluster name left on a host,
// so that one whose store was lost can begin where it ended. A runtime that is
// opened with the found cluster's id then looks after these nodes as its own;
// nothing is done to them.
type Salvager interface {
	// Salvage returns the nodes on the host that carry our cluster's name and
	// another id, running or ended, sorted by cluster id, pod and name; none is
	// no error. It changes nothing.
	Salvage(ctx context.Context) ([]Salvaged, error)
}

// Salvaged is a node of another manager, with what its host knows of how it was
// started. What cannot be read back from the host is in Settings.
type Salvaged struct {
	ClusterID string // of the manager that started it
	Node      Node   // as that one would observe it, without usage
	Settings  string // as it was given to Start; empty where nothing was
	// Entrypoint and Command are what the node runs: as they were given, or
	// those of the image where none was.
	Entrypoint []string
	Command    []string
	// Env is the environment that it was started with: what was given, the
	// image's and the runtime's own. It is nil where it cannot be read, such as
	// that of a process that has ended.
	Env map[string]string
}

// Cluster identifies whose nodes a runtime looks after.
type Cluster struct {
	Name string // chosen by a person; two clusters may share a host under two names
	ID   string // made by the cluster's store; tells managers of the same name apart
}

// NodeID names a node within its cluster.
type NodeID struct {
	Pod  string // the name of its pod
	Name string // unique in its pod, never used again
}

// String returns "pod/name".
func (id NodeID) String() string { return id.Pod + "/" + id.Name }

// Compare orders ids by pod, then by name.
func (id NodeID) Compare(other NodeID) int {
	return cmp.Or(cmp.Compare(id.Pod, other.Pod), cmp.Compare(id.Name, other.Name))
}

// Phase is what a runtime knows about whether a node runs.
type Phase string

// The phases of a node on its host.
const (
	PhaseRunning Phase = "running"
	PhaseFrozen  Phase = "frozen" // its processes stand still, such as by docker pause
	PhaseExited  Phase = "exited"
)

// Node is a node as its runtime sees it.
type Node struct {
	ID       NodeID   // as it was started
	Revision string   // as it was started
	Kind     NodeKind // as it was started; never zero
	// Handle is the runtime's own name for it: a container id, a pid.
	Handle    string
	Phase     Phase     // whether it runs
	StartedAt time.Time // when its workload was started
	// Endpoints maps each port's name to the "host:port" that the manager and
	// the balancer dial.
	Endpoints map[string]string
	Usage     Usage // what it has used so far
	// Health is what the image's own HEALTHCHECK says, where the workload's
	// probe is [ProbeHealthcheck]. It is unknown while the node is frozen, as
	// nothing checks it then.
	Health Health
	// Exit is set when Phase is [PhaseExited].
	Exit *Exit
}

// Health is the result of an image's HEALTHCHECK.
type Health string

// What a HEALTHCHECK may say.
const (
	HealthUnknown   Health = "" // not asked, or not answered yet
	HealthGood      Health = "healthy"
	HealthUnhealthy Health = "unhealthy"
)

// Exit tells how a node ended.
type Exit struct {
	Code      int       // exit code; 128 + n when signal n killed it
	OOMKilled bool      // the kernel killed it at its memory limit
	At        time.Time // zero when not known
	LastLog   []string  // its last lines of output, oldest first, at most [LastLogLines]
}

// LastLogLines is how many lines of output an [Exit] keeps.
const LastLogLines = 10

// Reason renders the exit for a person, such as "exit code 1: no such table".
func (e Exit) Reason() string {
	var b strings.Builder
	switch {
	case e.OOMKilled:
		b.WriteString("out of memory (killed at its memory limit)")
	case e.Code > 128 && e.Code < 128+65:
		b.WriteString("killed by signal " + strconv.Itoa(e.Code-128))
	default:
		b.WriteString("exit code " + strconv.Itoa(e.Code))
	}
	for _, line := range slices.Backward(e.LastLog) {
		if line != "" {
			return b.String() + ": " + line
		}
	}
	return b.String()
}

// Usage is what a node has used.
type Usage struct {
	// At is when it was read; zero when it was not, and then the other fields
	// mean nothing. It has a monotonic reading or is otherwise steady: what passes
	// between two of them is what passed, also where a clock jumped.
	At time.Time
	// CPU is the CPU time used since the node started; it only grows.
	CPU time.Duration
	// Memory is in bytes, without the page cache that the kernel may drop.
	Memory int64
}

// Snapshot is one observation of a host.
type Snapshot struct {
	Nodes []Node     // every node of the cluster on this host, running or ended
	Host  HostStatus // the machine itself
}

// HostStatus is what a host has and uses.
type HostStatus struct {
	Capacity Resources // what it has, or what its configuration says it has
	Used     HostUsage // by everything on it
	Engine   string    // such as "Docker 20.10.24, cgroup v1" or "processes, Linux 6.1"
}

// Resources is an amount of CPU and memory.
type Resources struct {
	CPU    float64 // cores
	Memory int64   // bytes
}

// HostUsage is what the whole host uses, nodes and all else. A field that the
// runtime cannot know is nil.
type HostUsage struct {
	CPU       *float64 // cores in use, mean since the previous observation
	Memory    *int64   // bytes in use
	Disk      *int64   // bytes in use where nodes' data lies
	DiskTotal *int64   // bytes
}
