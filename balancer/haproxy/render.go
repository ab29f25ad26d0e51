package haproxy

import (
	"fmt"
	"hash/fnv"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/elastipod/elastipod/balancer"
)

// relaySuffix makes the name of the backend through which the old worker hands
// requests on to the new one. No front's name has a dot.
const relaySuffix = ".relay"

const defaultsName = "elastipod"

// render writes the whole configuration. Everything in it was validated or is
// made here.
func (c Config) render(id string, r revision, fronts map[string]*front) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("global")
	line("  description %q", description(id, r.Number))
	servers := 0
	for _, fr := range fronts {
		servers += len(fr.servers)
	}
	line("  maxconn %d", min(c.MaxConn, fittingMaxConn(len(fronts), servers)))
	if c.Threads > 0 {
		line("  nbthread %d", c.Threads)
	}
	line("  hard-stop-after %s", millis(c.HardStopAfter))
	line("  stats socket %s mode 600 level admin expose-fd listeners", c.spelled(statsSocket, r.Respelled))
	line("  stats maxconn %d", statsConns)
	line("  stats timeout %s", millis(c.timing.idle))
	line("")
	line("defaults %s", defaultsName)
	line("  mode http")
	line("  http-reuse safe")
	line("  option abortonclose")
	line("  option idle-close-on-response")
	line("  timeout check 5s")
	line("  timeout tunnel 1h")
	// A machine that is gone says nothing: without this a request that it had
	// would wait for the time-out of the answer, a tunnel for its own.
	line("  option srvtcpka")
	line("  srvtcpka-idle 5s")
	line("  srvtcpka-intvl 1s")
	line("  srvtcpka-cnt 5")
	for _, name := range slices.Sorted(maps.Keys(fronts)) {
		c.renderFront(line, fronts[name])
	}
	return b.String()
}

func (c Config) renderFront(line func(string, ...any), fr *front) {
	f, t := fr.Front, fr.Front.Timeouts
	line("")
	line("frontend %s from %s", f.Name, defaultsName)
	line("  bind %s", canonical(f.Listen))
	line("  bind %s mode 600 accept-proxy", c.relaySocket(f.Name))
	line("  log %s format raw local0", c.socket(logSocket))
	line("  log-format %q", "%f %Ta %[var(txn.every)]")
	line("  timeout client %s", millis(t.Client))
	line("  timeout http-request %s", millis(min(t.Client, 30*time.Second)))
	line("  timeout http-keep-alive %s", millis(t.Client))
	// A message of HTTP/1.0 has no transfer encoding; what one means is anybody's guess.
	line("  http-request deny deny_status 400 if HTTP_1.0 { req.fhdr_cnt(transfer-encoding) gt 0 }")
	line(`  http-request deny deny_status 400 if { req.hdrs -m reg '\x00' }`)
	for _, h := range []string{"Forwarded", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization"} {
		line("  http-request del-header %s", h)
	}
	line("  http-request set-header X-Forwarded-For %%[src]")
	line("  http-request set-header X-Forwarded-Proto http")
	line("  http-request set-header X-Forwarded-Host %%[req.hdr(host)]")
	// What the old worker hands on is measured and counted by the new one.
	line("  http-request set-log-level silent if { stopping }")
	c.renderSampling(line)
	line("  use_backend %s if { stopping }", f.Name+relaySuffix)
	line("  default_backend %s", f.Name)

	line("")
	line("backend %s from %s", f.Name, defaultsName)
	line("  balance %s", f.Algorithm)
	if f.Algorithm == balancer.Source {
		line("  hash-type consistent")
	}
	line("  timeout connect %s", millis(t.Connect))
	line("  timeout server %s", millis(t.Server))
	line("  timeout queue %s", millis(t.Queue))
	if f.Retries > 0 {
		line("  retries %d", errorLimit*f.Retries)
		line("  retry-on conn-failure empty-response response-timeout")
		line("  option redispatch 1")
		if !f.RetryNonIdempotent {
			line("  http-request disable-l7-retry unless { method GET HEAD OPTIONS TRACE PUT DELETE }")
		}
	} else {
		line("  retries 0")
	}
	if f.CheckPath != "" {
		line("  option httpchk")
		line("  http-check send meth GET uri %s ver HTTP/1.1 hdr Host elastipod", f.CheckPath)
		line("  http-check expect status 200-399")
	}
	for _, name := range slices.Sorted(maps.Keys(fr.servers)) {
		s := fr.servers[name]
		line("  server %s %s %s", name, canonical(s.Addr), serverOptions(f, s, s.State == balancer.Drain))
	}

	line("")
	line("backend %s from %s", f.Name+relaySuffix, defaultsName)
	line("  timeout connect %s", millis(time.Second))
	line("  timeout server %s", millis(relayTimeout(t)))
	line("  retries 3")
	line("  server new unix@%s send-proxy-v2", c.relaySocket(f.Name))
}

// busyRate is the rate of requests a second from which response times are
// sampled.
const busyRate = 500

// renderSampling silences all but one of so many requests, the more there are.
// Those that remain say how many they stand for.
func (c Config) renderSampling(line func(string, ...any)) {
	if c.SampleEvery <= 1 {
		return
	}
	const tiers, limit = 4, 1 << 20
	rate, every := busyRate, c.SampleEvery
	for i := 1; i <= tiers; i++ {
		line("  acl busy%d fe_req_rate gt %d", i, rate)
		rate = min(rate*c.SampleEvery, limit*busyRate)
	}
	for i := 1; i <= tiers; i++ {
		calmer := ""
		if i < tiers {
			calmer = fmt.Sprintf(" !busy%d", i+1)
		}
		line("  http-request set-var(txn.every) int(%d) if busy%d%s !{ rand(%d) gt 0 }", every, i, calmer, every)
		every = min(every*c.SampleEvery, limit)
	}
	line("  http-request set-log-level silent if busy1 !{ var(txn.every) -m found }")
}

// relayTimeout lets the new worker be the one that gives up, after it waited
// and tried as often as a front may say.
func relayTimeout(t balancer.Timeouts) time.Duration {
	return 4 * (t.Queue + t.Server + t.Connect)
}

// errorLimit is how many attempts in a row that found nobody take a server out
// until a check finds it again: where several nodes die at once, the retries of
// one request would else go from one dead node to another. HAProxy does not
// remember which servers a request has tried, so that each of as many others as
// the front says may take so many of its retries.
const errorLimit = 2

// serverOptions are the words behind a server's address, the same in the
// configuration and in "add server". A server that begins to drain there has no
// weight, since a configuration cannot say "drain".
func serverOptions(f balancer.Front, s server, noWeight bool) string {
	weight := s.Weight
	if noWeight {
		weight = 0
	}
	o := fmt.Sprintf("id %d weight %d check inter 1s fastinter 250ms downinter 500ms rise 1 fall 3"+
		" observe layer4 error-limit %d on-error mark-down", s.id, weight, errorLimit)
	if f.MaxConn > 0 {
		o += fmt.Sprintf(" maxconn %d", f.MaxConn)
	}
	return o
}

// millis writes a duration for HAProxy, which takes no fractions and at most
// 24 days.
func millis(d time.Duration) string {
	return fmt.Sprintf("%dms", min(max(d.Milliseconds(), 1), 1<<31-1))
}

// statsConns is how many connections to its sockets a worker takes at a time.
// HAProxy's own default of 10 is used up by a monitor that forgets to close its
// connections.
const statsConns = 100

// spelled is the path of a socket, written in one of two ways.
func (c Config) spelled(name string, other bool) string {
	if other {
		return c.SocketDir + "/./" + name
	}
	return c.socket(name)
}

func description(id string, number int) string {
	return fmt.Sprintf("elastipod %s %d", id, number)
}

func (c Config) relaySocket(front string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(front))
	return c.socket(fmt.Sprintf("relay-%08x.sock", h.Sum32()))
}

// canonical writes an address in its one form.
func canonical(addr string) string {
	a, err := netip.ParseAddrPort(addr)
	if err != nil {
		return addr
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()).String()
}

// removeRelays removes the sockets of fronts that are no more: HAProxy leaves
// those that it made.
func (c Config) removeRelays(fronts []balancer.Front) {
	there, _ := filepath.Glob(c.socket("relay-*.sock"))
	for _, path := range there {
		if !slices.ContainsFunc(fronts, func(f balancer.Front) bool { return c.relaySocket(f.Name) == path }) {
			_ = os.Remove(path)
		}
	}
}
