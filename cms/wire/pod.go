package wire

import "time"

// Pod is a group of identical nodes, as users set it.
type Pod struct {
	Name     string     `json:"name" doc:"Unique in the cluster: 1 to 40 of a-z, 0-9 and -, a letter first."`
	Kind     string     `json:"kind,omitempty" doc:"\"service\" (the default) takes requests; the nodes of a \"job\" pod are slots for jobs."`
	Workload Workload   `json:"workload" doc:"What each node runs."`
	Limits   Limits     `json:"limits,omitzero" doc:"The most that one node may use."`
	MaxNodes Count      `json:"max_nodes,omitempty" doc:"The most nodes that the pod may ever have. Default 10."`
	Hosts    []string   `json:"hosts,omitempty" doc:"The hosts on which nodes may be placed. Default: every host."`
	Fronts   []Front    `json:"fronts,omitempty" doc:"The addresses on which the balancer takes requests for this pod."`
	Security string     `json:"security,omitempty" doc:"\"default\" lets stock images start; \"strict\" also drops every capability and makes the root read-only."`
	Update   Update     `json:"update,omitzero" doc:"How nodes are replaced when what they run changes."`
	Drain    Duration   `json:"drain,omitempty" doc:"How long a node that leaves may finish what it does. Default 30s."`
	Grace    Duration   `json:"grace,omitempty" doc:"Time between a stop signal and a kill. Default 10s."`
	Status   *PodStatus `json:"status,omitempty" doc:"What the server knows of the pod. Ignored when written." readOnly:"true"`
}

// Workload is what each node of a pod runs.
type Workload struct {
	Image      string            `json:"image,omitempty" doc:"An OCI image, for Docker hosts."`
	Pull       string            `json:"pull,omitempty" doc:"When the image is pulled: \"missing\" (the default), \"always\" or \"never\"."`
	Entrypoint []string          `json:"entrypoint,omitempty" doc:"Replaces the image's entry point."`
	Command    []string          `json:"command,omitempty" doc:"What a process host executes, or what replaces the image's command. No shell looks at it."`
	Env        map[string]string `json:"env,omitempty" doc:"Environment variables, whose values only operators may read: others see [redacted]. Put what is secret into secrets."`
	Ports      map[string]int    `json:"ports,omitempty" doc:"Names of the TCP ports on which the workload listens, such as {\"http\": 8080}."`
	Probe      Probe             `json:"probe,omitzero" doc:"Tells when a node is ready. Default: its main port accepts a connection."`
	Mounts     []Mount           `json:"mounts,omitempty" doc:"File systems that every node sees."`
	Secrets    []Secret          `json:"secrets,omitempty" doc:"Files in every node whose content comes from the server's machine. The content is never shown."`
	User       string            `json:"user,omitempty" doc:"\"user\" or \"user:group\", names or numbers. Default: the image's."`
	Networks   []string          `json:"networks,omitempty" doc:"Further Docker networks to join."`
	ExtraHosts map[string]string `json:"extra_hosts,omitempty" doc:"Host names and their addresses, as in /etc/hosts."`
	CapAdd     []string          `json:"cap_add,omitempty" doc:"Capabilities beyond the defaults, without CAP_."`
}

// Probe tells when a node is ready and whether it still answers:
// {"http":"/healthz"}, {"tcp":true}, {"healthcheck":true} or {"none":true}, and
// how to try.
type Probe struct {
	HTTP          string   `json:"http,omitempty" doc:"GET on this path answers 200 to 399."`
	TCP           bool     `json:"tcp,omitempty" doc:"The port accepts a connection."`
	None          bool     `json:"none,omitempty" doc:"Ready as soon as it runs."`
	Healthcheck   bool     `json:"healthcheck,omitempty" doc:"The image's own HEALTHCHECK, as the engine runs it."`
	Port          string   `json:"port,omitempty" doc:"Name of the port. Default: \"http\", else the first by name."`
	Interval      Duration `json:"interval,omitempty" doc:"Time between two tries. Default 1s."`
	Timeout       Duration `json:"timeout,omitempty" doc:"Bounds one try. Default 1s."`
	StartDeadline Duration `json:"start_deadline,omitempty" doc:"A node that was not ready by then has failed. Default 1m."`
	LiveInterval  Duration `json:"live_interval,omitempty" doc:"Time between two tries once the node is online. Default 5s."`
	Failures      *int     `json:"failures,omitempty" doc:"How many tries in a row must fail before an online node counts as hung and is replaced. 0: never. Default 3."`
}

// Mount puts a file system into every node.
type Mount struct {
	Type     string `json:"type" doc:"\"volume\", \"bind\" or \"tmpfs\"."`
	Source   string `json:"source,omitempty" doc:"A volume's name or a path of the host."`
	Target   string `json:"target" doc:"Absolute path in the node."`
	ReadOnly bool   `json:"read_only,omitempty" doc:"The node cannot write to it."`
	Size     Bytes  `json:"size,omitempty" doc:"Of a tmpfs. Default: the engine's."`
}

// Secret is a file in every node. It says where its content comes from; the
// content itself never crosses the wire.
type Secret struct {
	Name   string `json:"name" doc:"The file's name below /run/secrets."`
	File   string `json:"file,omitempty" doc:"A file on the server's machine. Set this or env."`
	Env    string `json:"env,omitempty" doc:"A variable of the server's environment. Set this or file."`
	Target string `json:"target,omitempty" doc:"Absolute path in the node. Default /run/secrets/NAME."`
}

// Limits are the most that one node may use.
type Limits struct {
	CPU    Cores `json:"cpu,omitempty" doc:"Cores; 0.5 is half a core. Default 1."`
	Memory Bytes `json:"memory,omitempty" doc:"Also what a node reserves on its host. Default 256MiB."`
	PIDs   Count `json:"pids,omitempty" doc:"Processes and threads. Default 1024."`
}

// Front is an address on which the balancer takes requests for a pod's port.
type Front struct {
	Name               string   `json:"name,omitempty" doc:"Unique in the cluster. Default: the pod's name, when it has one front."`
	Listen             string   `json:"listen" doc:"An IP address and a port, such as 127.0.0.1:5100."`
	Port               string   `json:"port,omitempty" doc:"Name of the workload's port. Default: the main port."`
	Algorithm          string   `json:"algorithm,omitempty" doc:"\"leastconn\" (the default), \"roundrobin\", \"random\", \"first\" or \"source\"."`
	MaxConn            int      `json:"max_conn,omitempty" doc:"The most requests that a node is given at a time; more wait. 0: no bound."`
	Timeouts           Timeouts `json:"timeouts,omitzero" doc:"Each with a default."`
	Retries            *int     `json:"retries,omitempty" doc:"How often a request that no node has begun to answer is tried again. 0: never. Default 3."`
	RetryNonIdempotent bool     `json:"retry_non_idempotent,omitempty" doc:"Also retry requests such as POST, which may then run twice."`
	CheckPath          string   `json:"check_path,omitempty" doc:"What the balancer's own health checks GET. Default: the probe's path, where it is of the same port."`
}

// Timeouts of a front.
type Timeouts struct {
	Connect Duration `json:"connect,omitempty" doc:"To a node. Default 200ms."`
	Client  Duration `json:"client,omitempty" doc:"Client idle. Default 1m."`
	Server  Duration `json:"server,omitempty" doc:"From request sent to response begun, and between its parts. Default 1m."`
	Queue   Duration `json:"queue,omitempty" doc:"Waiting for a node below max_conn. Default 30s."`
}

// PodStatus is what the server adds to a pod.
type PodStatus struct {
	State      string     `json:"state" doc:"\"active\", \"paused\" or \"deleting\"."`
	CreatedAt  time.Time  `json:"created_at" doc:"When it was created."`
	Want       int        `json:"want" doc:"The number of nodes that the pod should have."`
	Revision   uint64     `json:"revision" doc:"Number of the revision that nodes started now run; counts from 1 in the pod."`
	Converged  bool       `json:"converged" doc:"What runs and takes requests is what should."`
	Nodes      NodeCounts `json:"nodes" doc:"How many nodes are in each state."`
	Cut        uint64     `json:"cut" doc:"Requests and connections, such as WebSockets, that nodes still had when the deadline of their drain passed, since the pod was made."`
	Problems   []Problem  `json:"problems" doc:"What is wrong now."`
	Reason     string     `json:"reason,omitempty" doc:"The sentence of the last decision."`
	Elasticity Elasticity `json:"elasticity" doc:"To change it, write to /v1/pods/{pod}/elasticity."`
	Rollout    *Rollout   `json:"rollout,omitempty" doc:"The last change of what the pod runs; absent when there was none."`
	Sample     *Sample    `json:"sample,omitempty" doc:"What was measured last; absent before the first tick."`
	LastChange *Tick      `json:"last_change,omitempty" doc:"The last tick that changed the wanted number."`
}
