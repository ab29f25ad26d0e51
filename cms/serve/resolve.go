package serve

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/pod"
)

// resolver makes settings of a configuration and collects what is wrong with it.
type resolver struct {
	cfg      fileConfig
	flags    flags
	doc      *document // nil: no file
	dir      string    // where relative paths of the file begin
	environ  func(string) string
	policies *elastic.Registry
	faults   cms.Faults
}

// load reads the file that the flags name and returns the settings, or every
// fault as a [ConfigError].
func load(f flags, environ func(string) string, policies *elastic.Registry) (settings, error) {
	r := resolver{flags: f, environ: environ, policies: policies}
	if f.config != "" {
		data, err := os.ReadFile(f.config)
		if err != nil {
			return settings{}, ConfigError{{where: "--config", Fault: cms.Fault{Problem: plainError(err), Allowed: "name a YAML file that can be read"}}}
		}
		if r.doc, err = decodeStrict(f.config, data, &r.cfg); err != nil {
			return settings{}, err
		}
		r.dir = filepath.Dir(f.config)
	}
	f.override(&r.cfg)
	s := r.resolve()
	if err := r.err(); err != nil {
		return s, err
	}
	var err error
	if s.effective, err = r.effective(&s); err != nil {
		return s, err
	}
	s.again = func() (settings, error) { return load(f, environ, policies) }
	return s, nil
}

// err returns the faults, each with where its field was set.
func (r *resolver) err() error {
	if len(r.faults) == 0 {
		return nil
	}
	var out ConfigError
	for _, f := range r.faults {
		name, given := r.flags.forField(f.Path)
		switch {
		case given || name != "" && r.doc == nil:
			out = append(out, placed{where: "--" + name, Fault: cms.Fault{Problem: f.Problem, Allowed: f.Allowed}})
		case r.doc != nil:
			out = append(out, r.doc.locate(f))
		default:
			out = append(out, placed{Fault: f})
		}
	}
	return out
}

func (r *resolver) resolve() settings {
	c := &r.cfg
	s := settings{
		cluster:        c.Cluster,
		listen:         cmp.Or(c.Listen, defaultListen),
		stack:          cmp.Or(c.Stack, stackEmbedded),
		data:           r.dataDir(),
		tlsCert:        r.path("tls.cert", c.TLS.Cert),
		tlsKey:         r.path("tls.key", c.TLS.Key),
		allowedHosts:   c.AllowedHosts,
		allowedOrigins: c.AllowedOrigins,
		insecure:       c.Insecure,
		tick:           c.Tick.Std(),
		hostTimeout:    c.HostTimeout.Std(),
		startParallel:  int(c.StartParallel),
		history:        int(c.History),
		stopNodes:      c.StopNodes,
		takeOver:       c.TakeOver,
		stopTimeout:    cmp.Or(c.StopTimeout.Std(), defaultStopTimeout),
		workloadBinary: r.path("workload_binary", c.WorkloadBinary),
		haproxy: haproxySettings{
			binary: c.HAProxy.Binary, socketDir: r.path("haproxy.socket_dir", c.HAProxy.SocketDir),
			maxConn: int(c.HAProxy.MaxConn), threads: int(c.HAProxy.Threads), sampleEvery: int(c.HAProxy.SampleEvery),
			hardStopAfter: c.HAProxy.HardStopAfter.Std(),
		},
		process: processSettings{workDir: r.path("process.work_dir", c.Process.WorkDir), portMin: int(c.Process.PortMin), portMax: int(c.Process.PortMax)},
	}
	if s.cluster != "" && !pod.ValidName(s.cluster) {
		r.faults.Add("cluster", "use 1 to 40 of a-z, 0-9 and -, a letter first", "%.80q is not a name", s.cluster)
	}
	if s.stack != stackEmbedded && s.stack != stackDocker {
		r.faults.Add("stack", `use "embedded" or "docker"`, "%.40q is unknown", s.stack)
	}
	r.resolveLog(&s)
	r.resolveBounds(&s)
	r.resolveTLS(&s)
	s.tokens, s.namesTokens = r.tokens(), len(r.cfg.Tokens) > 0 || r.cfg.TokenFile != ""
	s.webhooks, s.auditFile = r.webhooks(), r.path("audit.file", r.cfg.Audit.File)
	s.tracing = r.tracing()
	r.checkOrigins()
	r.checkListen(&s)
	r.resolveHosts(&s)
	r.resolvePods(&s)
	return s
}

func (r *resolver) resolveLog(s *settings) {
	switch r.cfg.Log.Format {
	case "", "text":
	case "json":
		s.logJSON = true
	default:
		r.faults.Add("log.format", `use "text" or "json"`, "%.40q is unknown", r.cfg.Log.Format)
	}
	switch r.cfg.Log.Level {
	case "", "info":
	case "debug", "warn", "error":
		_ = s.logLevel.UnmarshalText([]byte(r.cfg.Log.Level)) // one of its own words
	default:
		s.logLevel = slog.LevelInfo
		r.faults.Add("log.level", `use "debug", "info", "warn" or "error"`, "%.40q is unknown", r.cfg.Log.Level)
	}
}

func (r *resolver) resolveBounds(s *settings) {
	if s.tick != 0 && (s.tick < 50*time.Millisecond || s.tick > time.Minute) {
		r.faults.Add("tick", "use 50ms to 1m", "%s is out of range", s.tick)
	}
	if s.startParallel > 1000 {
		r.faults.Add("start_parallel", "use 1 to 1000", "%d is out of range", s.startParallel)
	}
	if n := r.cfg.KeepImages; n != nil {
		s.keepImages = *n
		if s.keepImages < -1 || s.keepImages == 0 || s.keepImages > 10 {
			r.faults.Add("keep_images", "use 1 to 10, or -1 to remove none", "%d is out of range", s.keepImages)
		}
	}
	if s.history > 1_000_000 {
		r.faults.Add("history", "use 1 to 1000000 ticks", "%d is out of range", s.history)
	}
	if s.stopTimeout > time.Hour {
		r.faults.Add("stop_timeout", "use at most 1h", "%s is out of range", s.stopTimeout)
	}
	p := s.process
	if p.portMin != 0 || p.portMax != 0 {
		switch {
		case p.portMin == 0 || p.portMax == 0:
			r.faults.Add("process", "set both port_min and port_max", "has one end of a range of ports only")
		case p.portMin < 1024 || p.portMax > 65535 || p.portMax < p.portMin:
			r.faults.Add("process.port_min", "use 1024 to 65535, port_max not below port_min", "%d to %d is not a range of ports", p.portMin, p.portMax)
		}
	}
}

func (r *resolver) resolveTLS(s *settings) {
	switch {
	case s.tlsCert == "" && s.tlsKey == "":
		return
	case s.tlsKey == "":
		r.faults.Add("tls.cert", "set the key too (tls.key or --tls-key)", "has no key")
		return
	case s.tlsCert == "":
		r.faults.Add("tls.key", "set the certificate too (tls.cert or --tls-cert)", "has no certificate")
		return
	}
	if _, err := tls.LoadX509KeyPair(s.tlsCert, s.tlsKey); err != nil {
		at := "tls.cert"
		var pathErr *os.PathError
		if errors.As(err, &pathErr) && pathErr.Path == s.tlsKey {
			at = "tls.key"
		}
		r.faults.Add(at, "name PEM files that belong together", "%s", plainError(err))
	}
}

// checkOrigins finds what browsers would never send as an origin.
func (r *resolver) checkOrigins() {
	p := http.NewCrossOriginProtection()
	for i, o := range r.cfg.AllowedOrigins {
		if err := p.AddTrustedOrigin(o); err != nil {
			r.faults.Add(fmt.Sprintf("allowed_origins[%d]", i), `use one such as "https://ops.example.com"`, "%.80q is not an origin", o)
		}
	}
}

// checkListen refuses to be reached from other machines without a token and TLS.
func (r *resolver) checkListen(s *settings) {
	host, port, err := net.SplitHostPort(s.listen)
	if n, perr := strconv.Atoi(port); err != nil || perr != nil || n < 0 || n > 65535 {
		r.faults.Add("listen", `use an IP address and a port, such as "127.0.0.1:3000"`, "%.80q is not an address", s.listen)
		return
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	a, err := netip.ParseAddr(host)
	if host != "" && err != nil {
		r.faults.Add("listen", `use an IP address and a port, such as "127.0.0.1:3000"`, "%.80q is not an IP address", host)
		return
	}
	if host != "" && a.IsLoopback() {
		return
	}
	if missing := s.unguarded(); missing != "" {
		r.faults.Add("listen", "set "+missing+", or accept the risk with --insecure", "%s can be reached from other machines", s.listen)
	}
}

// unguarded says what an API lacks that other machines may reach.
func (s *settings) unguarded() string {
	var missing []string
	if len(s.tokens) == 0 && !s.namesTokens && !s.insecure {
		missing = append(missing, "a token (--token-file)")
	}
	if s.tlsCert == "" && !s.insecure {
		missing = append(missing, "TLS (--tls-cert and --tls-key)")
	}
	return strings.Join(missing, " and ")
}

// dataDir returns the absolute data directory.
func (r *resolver) dataDir() string {
	if r.cfg.Data != "" {
		return r.path("data", r.cfg.Data)
	}
	for _, base := range []struct{ dir, sub string }{
		{r.environ("STATE_DIRECTORY"), ""}, // systemd's
		{r.environ("XDG_STATE_HOME"), "elastipod"},
		{r.environ("HOME"), ".local/state/elastipod"},
	} {
		if filepath.IsAbs(base.dir) {
			return filepath.Join(base.dir, base.sub)
		}
	}
	r.faults.Add("data", "set it to a directory for the store", "is not set, and neither is HOME")
	return ""
}

// path returns an absolute path: one in the file begins where the file lies, one
// of a flag in the working directory. Empty stays empty.
func (r *resolver) path(field, p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	if _, given := r.flags.forField(field); !given {
		p = filepath.Join(r.dir, p)
	}
	abs, err := filepath.Abs(p)
	if err != nil {
		r.faults.Add(field, "use an absolute path", "%s", plainError(err))
	}
	return abs
}

// plainError returns the message of an error without the name of a system call.
func plainError(err error) string {
	var p *os.PathError
	if errors.As(err, &p) {
		return fmt.Sprintf("%s: %s", p.Path, p.Err)
	}
	return err.Error()
}
