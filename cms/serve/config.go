package serve

import (
	"github.com/elastipod/elastipod/cms/wire"
)

// fileConfig is the configuration file. Fields that are left out have the
// defaults that resolve.go gives them; flags go before it.
type fileConfig struct {
	// Cluster is the name that containers and metrics carry.
	Cluster string `yaml:"cluster"`
	// Listen is the address of the API.
	Listen string `yaml:"listen"`
	// Stack is "embedded" (processes, in-process proxy) or "docker" (Docker,
	// HAProxy).
	Stack string `yaml:"stack"`
	// Data is the directory for the store and for the state of nodes and HAProxy.
	Data string `yaml:"data"`

	Log struct {
		Format string `yaml:"format"` // text or json
		Level  string `yaml:"level"`  // debug, info, warn or error
	} `yaml:"log"`

	TLS struct {
		Cert string `yaml:"cert"`
		Key  string `yaml:"key"`
	} `yaml:"tls"`
	Insecure       bool          `yaml:"insecure"`
	TokenFile      string        `yaml:"token_file"`
	Tokens         []tokenConfig `yaml:"tokens"`
	AllowedHosts   []string      `yaml:"allowed_hosts"`
	AllowedOrigins []string      `yaml:"allowed_origins"`

	// Webhooks are programs that are told of events.
	Webhooks []webhookConfig `yaml:"webhooks"`
	Audit    struct {
		File string `yaml:"file"` // lines of JSON; default: the log
	} `yaml:"audit"`

	// Tracing is where traces go. Default: there are none.
	Tracing tracingConfig `yaml:"tracing"`

	Tick          wire.Duration `yaml:"tick"`
	HostTimeout   wire.Duration `yaml:"host_timeout"`
	StartParallel wire.Count    `yaml:"start_parallel"`
	KeepImages    *int          `yaml:"keep_images"`
	History       wire.Count    `yaml:"history"`
	StopNodes     bool          `yaml:"stop_nodes"`
	StopTimeout   wire.Duration `yaml:"stop_timeout"`
	// TakeOver makes a start after a lost store go on with the nodes that are
	// there.
	TakeOver bool `yaml:"take_over"`

	// Hosts are there from the start. Default: this machine.
	Hosts []wire.Host `yaml:"hosts"`
	// Pods are created at start when they are not there yet.
	Pods []podConfig `yaml:"pods"`
	// DefaultPods are what "cloud init" creates, instead of light, medium and
	// heavy.
	DefaultPods []wire.Pod `yaml:"default_pods"`

	HAProxy struct {
		Binary        string        `yaml:"binary"`
		SocketDir     string        `yaml:"socket_dir"`
		MaxConn       wire.Count    `yaml:"max_conn"`
		Threads       wire.Count    `yaml:"threads"`
		SampleEvery   wire.Count    `yaml:"sample_every"`
		HardStopAfter wire.Duration `yaml:"hard_stop_after"`
	} `yaml:"haproxy"`

	Process struct {
		WorkDir string     `yaml:"work_dir"`
		PortMin wire.Count `yaml:"port_min"`
		PortMax wire.Count `yaml:"port_max"`
	} `yaml:"process"`

	// WorkloadBinary is a static program for the image of the default pods,
	// where the server's own is not static.
	WorkloadBinary string `yaml:"workload_binary"`
}

// podConfig is a pod, how many nodes it begins with, and whether it is elastic.
type podConfig struct {
	wire.Pod   `yaml:",inline"`
	Nodes      wire.Count       `yaml:"nodes"`
	Elasticity *wire.Elasticity `yaml:"elasticity"`
}

// tokenConfig is a token whose secret lies elsewhere.
type tokenConfig struct {
	Name string `yaml:"name"`
	Role string `yaml:"role"`
	Env  string `yaml:"env"`  // variable of the server's environment
	File string `yaml:"file"` // file of mode 0600
}
