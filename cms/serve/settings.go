package serve

import (
	"log/slog"
	"time"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/api"
	"github.com/elastipod/elastipod/cms/webhook"
	"github.com/elastipod/elastipod/pod"
)

// The stacks.
const (
	stackEmbedded = "embedded" // processes behind an in-process proxy
	stackDocker   = "docker"   // containers behind HAProxy
)

// Default values of the configuration.
const (
	defaultListen      = "127.0.0.1:3000"
	defaultStopTimeout = time.Minute
)

// settings are a configuration that was checked: flags, file and defaults.
type settings struct {
	cluster string // empty: that of the data directory, or the default
	listen  string
	stack   string
	data    string // absolute

	logJSON  bool
	logLevel slog.Level

	tlsCert, tlsKey              string // both or none
	tokens                       []api.Token
	namesTokens                  bool // also where they could not be read
	allowedHosts, allowedOrigins []string
	insecure                     bool
	webhooks                     []webhook.Target
	auditFile                    string // absolute; empty: the log

	tracing tracingSettings

	tick                   time.Duration // 0: the manager's default, as the next two
	hostTimeout            time.Duration
	startParallel, history int
	keepImages             int // 0: the manager's default
	stopNodes, takeOver    bool
	stopTimeout            time.Duration

	hosts       []pod.Host
	pods        []podSettings
	defaultPods []cms.PodSpec // nil: light, medium and heavy
	freeFronts  bool          // fronts of default pods move where their address is taken

	haproxy haproxySettings
	process processSettings

	workloadBinary string // absolute; empty: this program

	effective map[string]any           // all of this, to be compared
	again     func() (settings, error) // reads the same flags and file anew; nil: nothing was read
}

// podSettings is a pod that is created at start.
type podSettings struct {
	spec       cms.PodSpec
	nodes      int // launched when it is created
	elasticity *cms.Elasticity
}

type haproxySettings struct {
	binary, socketDir             string
	maxConn, threads, sampleEvery int
	hardStopAfter                 time.Duration
}

type processSettings struct {
	workDir          string
	portMin, portMax int
}
