package elastipod_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "github.com/elastipod/elastipod"

// mayImport holds what each package may import of this module, beside internal.
// The longest prefix of a package's path is its row. Tests are free.
var mayImport = map[string][]string{
	"":                    {},
	"pod":                 {},
	"balancer":            {},
	"metrics":             {},
	"metrics/prom":        {"metrics"},
	"cms/wire":            {},
	"elastic":             {"metrics"},
	"elastic/lab":         {"elastic", "metrics"},
	"elastic/elastictest": {"elastic", "elastic/lab", "metrics"},
	"pod/docker":          {"pod"},
	"pod/process":         {"pod"},
	"pod/podtest":         {"pod"},
	"pod/podtest/helper":  {"pod", "pod/podtest"},
	"balancer/haproxy":    {"balancer"},
	"balancer/inproc":     {"balancer"},
	"balancer/balancertest": {
		"balancer",
	},
	"cms":                 {"cms/state", "cms/reconcile", "pod", "balancer", "elastic", "metrics"}, // and cms/internal, but no backend
	"cms/state":           {"pod", "balancer", "elastic", "metrics"},
	"cms/reconcile":       {"cms/state", "pod", "balancer", "elastic", "metrics"},
	"cms/internal":        {}, // clock
	"cms/internal/ledger": {"pod"},
	"cms/internal/claims": {"balancer"},
	"cms/internal/faults": {"cms/reconcile", "cms/state", "pod", "balancer"}, // errors of all ports become values of reconcile
	"cms/internal/events": {"cms/reconcile", "elastic", "metrics"},           // what is told: events, and the ticks that are kept
	"cms/internal/watch":  {"cms/reconcile", "cms/state", "pod", "balancer"}, // views as reconcile sees them; records of hosts
	"cms/internal/images": {"pod"},
	"cms/internal/act":    {"cms/reconcile", "pod", "balancer"},
	"cms/cmstest":         {"cms/state", "pod", "balancer", "elastic", "metrics"},
	"cms/boltstore":       {"cms/state", "pod", "balancer", "elastic", "metrics"},
	"cms/job":             {"pod", "metrics"},
	"cms/api":             {"cms", "cms/job", "cms/wire", "pod", "balancer", "elastic", "metrics"},
	"cms/client":          {"cms/wire"},
	"cms/webhook":         {"cms", "cms/api", "cms/wire", "pod"},
	"cms/serve":           {"*"}, // but examples
	"examples":            {"*"},
	"internal":            {},
	"internal/invariant/fakes": {
		"cms", "cms/cmstest", "pod/podtest", "balancer/balancertest",
	},
	"internal/e2e": {"*"},
}

type listed struct {
	ImportPath string
	Imports    []string
}

func TestImportRules(t *testing.T) {
	for _, p := range list(t) {
		from := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		for _, imported := range p.Imports {
			to, ours := strings.CutPrefix(imported, module+"/")
			room, inside := strings.CutPrefix(to, "cms/internal/")
			if !ours || !inside && slices.Contains(strings.Split(to, "/"), "internal") {
				continue
			}
			if inside {
				assert.True(t, slices.Contains(rooms[from], "*") || slices.Contains(rooms[from], room), "%s must not import %s", from, to)
				continue
			}
			assert.True(t, allowed(from, to), "%s must not import %s", from, to)
		}
	}
}

// rooms holds what each package may import of cms/internal. Deciding knows none of
// them, and those that only keep something know nobody.
var rooms = map[string][]string{
	"cms":                 {"*"},
	"cms/internal/watch":  {"clock", "faults"},
	"cms/internal/act":    {"clock", "faults", "watch"},
	"cms/internal/images": {"watch"},
}

// Prometheus, HAProxy's and Docker's libraries stay behind the one package that
// is there for each.
func TestForeignLibrariesStayInTheirRooms(t *testing.T) {
	rooms := map[string][]string{
		"github.com/prometheus/":                  {"metrics/prom", "cms/serve"},
		"github.com/haproxytech/":                 {"balancer/haproxy"},
		"github.com/docker/docker/":               {"pod/docker", "internal/dockertest", "internal/e2e"},
		"github.com/docker/cli/":                  {"pod/docker"},
		"go.etcd.io/bbolt":                        {"cms/boltstore"},
		"github.com/danielgtaylor/huma/":          {"cms/api"},
		"github.com/spf13/cobra":                  {"examples/cloud"},
		"github.com/standard-webhooks/":           {"cms/webhook"},
		"github.com/coreos/go-systemd/":           {"cms/serve"},
		"github.com/HdrHistogram/hdrhistogram-go": {"balancer", "internal", "metrics"},
		// Libraries know OpenTelemetry's API; what collects and sends is the program's.
		"go.opentelemetry.io/otel/sdk":       {"cms/serve"},
		"go.opentelemetry.io/otel/exporters": {"cms/serve"},
	}
	for _, p := range list(t) {
		from := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		for _, imported := range p.Imports {
			for library, allowed := range rooms {
				if strings.HasPrefix(imported, library) {
					assert.True(t, slices.ContainsFunc(allowed, func(room string) bool { return within(from, room) }),
						"%s must not import %s", from, imported)
				}
			}
		}
	}
}

// The rules can fail.
func TestImportRulesRefuse(t *testing.T) {
	for _, backend := range []string{"pod/docker", "pod/process", "balancer/haproxy", "balancer/inproc", "cms/boltstore"} {
		for _, room := range managerRooms {
			assert.False(t, allowed(room, backend), "the manager knows no backend")
		}
	}
	assert.False(t, allowed("cms/reconcile", "cms"))
	assert.False(t, allowed("cms/state", "cms/reconcile"))
	assert.True(t, allowed("cms/internal/act", "cms/reconcile"))
	assert.False(t, allowed("cms/internal/ledger", "cms/reconcile"))
	assert.False(t, allowed("elastic", "pod"))
	assert.False(t, allowed("pod", "balancer"))
	assert.False(t, allowed("cms/client", "cms"))
	assert.False(t, allowed("cms", "cms/api"))
	assert.True(t, allowed("cms/api", "cms/wire"))
	assert.True(t, allowed("cms/serve", "pod/docker"))
	assert.False(t, allowed("cms/serve", "examples/workload"), "a program with a server of its own needs no example")
}

func allowed(from, to string) bool {
	if within(to, "examples") && !within(from, "examples") && from != "internal/e2e" {
		return false
	}
	row, best := mayImport[""], -1
	for prefix, targets := range mayImport {
		if within(from, prefix) && len(prefix) > best {
			row, best = targets, len(prefix)
		}
	}
	// A package may be split into parts of its own.
	return slices.Contains(row, "*") || slices.Contains(row, to)
}

func within(path, prefix string) bool {
	return prefix == "" || path == prefix || strings.HasPrefix(path, prefix+"/")
}

func list(t *testing.T) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Imports", "./...")
	out, err := cmd.Output()
	require.NoError(t, err)
	var all []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		all = append(all, p)
	}
	require.Greater(t, len(all), 10)
	return all
}
