package serve

import (
	"github.com/elastipod/elastipod/cms/wire"
)

// fileConfig is the configuration file. Fields that are left out have the
// defaults that resolve.go gives them; flags go before it.
type fileConfig struct {
	// Cluster is the name that containers and metrics carry.
	Cluster string `json:"cluster,omitempty"`
	// Listen is the address of the API.
	Listen string `json:"listen,omitempty"`
	// Stack is "embedded" (processes, in-process proxy) or "docker" (Docker,
	// HAProxy).
	Stack string `json:"stack,omitempty"`
	// Data is the directory for the store and for the state of nodes and HAProxy.
	Data string `json:"data,omitempty"`

	Log struct {
		Format string `json:"format,omitempty"` // text or json
		Level  string `json:"level,omitempty"`  // debug, info, warn or error
	} `json:"log"`

	TLS struct {
		Cert string `json:"cert,omitempty"`
		Key  string `json:"key,omitempty"`
	} `json:"tls"`
	Insecure       bool          `json:"insecure"`
	TokenFile      string        `json:"token_file,omitempty"`
	Tokens         []tokenConfig `json:"tokens,omitempty"`
	AllowedHosts   []string      `json:"allowed_hosts,omitempty"`
	AllowedOrigins []string      `json:"allowed_origins,omitempty"`

	// Webhooks are programs that are told of events.
	Webhooks []webhookConfig `json:"webhooks,omitempty"`
	Audit    struct {
		File string `json:"file,omitempty"` // lines of JSON; default: the log
	} `json:"audit"`

	// Tracing is where traces go. Default: there are none.
	Tracing tracingConfig `json:"tracing"`

	Tick          wire.Duration `json:"tick,omitempty"`
	HostTimeout   wire.Duration `json:"host_timeout,omitempty"`
	StartParallel wire.Count    `json:"start_parallel,omitempty"`
	KeepImages    *int          `json:"keep_images,omitempty"`
	History       wire.Count    `json:"history,omitempty"`
	StopNodes     bool          `json:"stop_nodes"`
	StopTimeout   wire.Duration `json:"stop_timeout,omitempty"`
	// TakeOver makes a start after a lost store go on with the nodes that are
	// there.
	TakeOver bool `json:"take_over"`

	// Hosts are there from the start. Default: this machine.
	Hosts []wire.Host `json:"hosts,omitempty"`
	// Pods are created at start when they are not there yet.
	Pods []podConfig `json:"pods,omitempty"`
	// DefaultPods are what "cloud init" creates, instead of light, medium and
	// heavy.
	DefaultPods []wire.Pod `json:"default_pods,omitempty"`

	HAProxy struct {
		Binary        string        `json:"binary,omitempty"`
		SocketDir     string        `json:"socket_dir,omitempty"`
		MaxConn       wire.Count    `json:"max_conn,omitempty"`
		Threads       wire.Count    `json:"threads,omitempty"`
		SampleEvery   wire.Count    `json:"sample_every,omitempty"`
		HardStopAfter wire.Duration `json:"hard_stop_after,omitempty"`
	} `json:"haproxy"`

	Process struct {
		WorkDir string     `json:"work_dir,omitempty"`
		PortMin wire.Count `json:"port_min,omitempty"`
		PortMax wire.Count `json:"port_max,omitempty"`
	} `json:"process"`

	// WorkloadBinary is a static program for the image of the default pods,
	// where the server's own is not static.
	WorkloadBinary string `json:"workload_binary,omitempty"`
}

// podConfig is a pod, how many nodes it begins with, and whether it is elastic.
type podConfig struct {
	wire.Pod
	Nodes      wire.Count       `json:"nodes,omitempty"`
	Elasticity *wire.Elasticity `json:"elasticity,omitempty"`
}

// tokenConfig is a token whose secret lies elsewhere.
type tokenConfig struct {
	Name string `json:"name,omitempty"`
	Role string `json:"role,omitempty"`
	Env  string `json:"env,omitempty"`  // variable of the server's environment
	File string `json:"file,omitempty"` // file of mode 0600
}
