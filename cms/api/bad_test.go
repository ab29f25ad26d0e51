package api_test

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/api"
	"github.com/elastipod/elastipod/cms/wire"
)

// pod returns the JSON of a pod with the given workload.
func podWith(workload string, more ...string) string {
	return `{"name":"bad","workload":` + workload + strings.Join(append([]string{""}, more...), ",") + `}`
}

const image = `{"image":"nginx:1.27","ports":{"http":8080}}`

// bad requests: each names in its problem the field (path, "" for none), what is
// wrong and what would be right.
var bad = []struct {
	name         string
	method, path string
	body         string
	headers      []string
	status       int
	field        string
	says         []string
}{
	// What is not JSON, or not sent as such.
	{"no body", "POST", "/v1/pods", "", nil, 400, "", []string{"send a JSON object"}},
	{"blank body", "POST", "/v1/pods", " \n", nil, 400, "", []string{"send a JSON object"}},
	{"not JSON", "POST", "/v1/pods", "name: web", nil, 400, "", []string{"line 1", "one JSON object"}},
	{"cut off", "POST", "/v1/pods", `{"name":"a"`, nil, 400, "", []string{"ends in the middle"}},
	{"two objects", "POST", "/v1/pods", `{} {}`, nil, 400, "", []string{"something follows"}},
	{"trailing comma", "POST", "/v1/pods", "{\n\"name\":\"a\",\n}", nil, 400, "", []string{"line 3"}},
	{"a name twice", "POST", "/v1/pods", `{"name":"a","name":"b"}`, nil, 400, "", []string{"name is given twice"}},
	{"a nested name twice", "POST", "/v1/pods", `{"workload":{"env":{"A":"1","A":"2"}}}`, nil, 400, "", []string{"workload.env.A is given twice"}},
	{"too deep", "POST", "/v1/pods", strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100), nil, 400, "", []string{"nested more than 64"}},
	{"a list", "POST", "/v1/pods", `[]`, nil, 422, "", []string{"is a list; send a JSON object"}},
	{"a string", "POST", "/v1/pods", `"web"`, nil, 422, "", []string{"send a JSON object"}},
	{"null", "POST", "/v1/pods", `null`, nil, 422, "", []string{"is null"}},
	{"a form", "POST", "/v1/pods", `name=web`, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "", []string{"Content-Type: application/json"}},
	{"no media type", "POST", "/v1/pods", `{}`, []string{"Content-Type", ""}, 415, "", []string{"Content-Type: application/json"}},
	{"YAML", "PUT", "/v1/pods/web", "name: web", []string{"Content-Type", "application/yaml"}, 415, "", []string{"application/yaml", "Content-Type: application/json"}},
	{"a patch's type where none is taken", "PUT", "/v1/pods/web", `{}`, []string{"Content-Type", "application/merge-patch+json"}, 415, "", []string{"application/json"}},
	{"a JSON patch", "PATCH", "/v1/pods/web", `[]`, []string{"Content-Type", "application/json-patch+json"}, 415, "", []string{"merge-patch+json"}},
	{"Latin-1", "POST", "/v1/pods", `{}`, []string{"Content-Type", "application/json; charset=iso-8859-1"}, 415, "", []string{"send UTF-8"}},
	{"compressed", "POST", "/v1/pods", `{}`, []string{"Content-Encoding", "gzip"}, 415, "", []string{"gzip", "as it is"}},
	{"too large", "POST", "/v1/pods", `{"name":"` + strings.Repeat("a", 1<<20) + `"}`, nil, 413, "", []string{"at most 1048576 bytes"}},

	// Unknown and missing fields, wrong types.
	{"empty object", "POST", "/v1/pods", `{}`, nil, 422, "name", []string{"name: is missing", "workload: is missing"}},
	{"unknown field", "POST", "/v1/pods", podWith(image, `"maxnodes":3`), nil, 422, "maxnodes", []string{`did you mean "max_nodes"?`}},
	{"unknown nested field", "POST", "/v1/pods", podWith(`{"imag":"x"}`), nil, 422, "workload.imag", []string{`did you mean "image"?`}},
	{"unknown field in a list", "POST", "/v1/pods", podWith(image, `"fronts":[{"listen":"127.0.0.1:1","Port":"http"}]`), nil, 422, "fronts[0].Port", []string{`did you mean "port"?`}},
	{"case matters", "POST", "/v1/pods", `{"Name":"a","workload":{"image":"x"}}`, nil, 422, "Name", []string{`did you mean "name"?`}},
	{"name is a number", "POST", "/v1/pods", `{"name":7,"workload":{"image":"x"}}`, nil, 422, "name", []string{"is a number", "use a string"}},
	{"workload is a string", "POST", "/v1/pods", `{"name":"bad","workload":"nginx"}`, nil, 422, "workload", []string{"use an object"}},
	{"command is a string", "POST", "/v1/pods", podWith(`{"command":"sleep 1"}`), nil, 422, "workload.command", []string{"use a list"}},
	{"a command's part is a number", "POST", "/v1/pods", podWith(`{"command":["sleep",1]}`), nil, 422, "workload.command[1]", []string{"use a string"}},
	{"env value is a number", "POST", "/v1/pods", podWith(`{"image":"x","env":{"A":1}}`), nil, 422, "workload.env.A", []string{"use a string"}},
	{"env value is null", "POST", "/v1/pods", podWith(`{"image":"x","env":{"A":null}}`), nil, 422, "workload.env.A", []string{"is null"}},
	{"read_only is a string", "POST", "/v1/pods", podWith(`{"image":"x","mounts":[{"type":"tmpfs","target":"/t","read_only":"yes"}]}`), nil, 422, "workload.mounts[0].read_only", []string{"true or false"}},
	{"port is a fraction", "POST", "/v1/pods", podWith(`{"image":"x","ports":{"http":80.5}}`), nil, 422, "workload.ports.http", []string{"whole number"}},
	{"port is too large for a number", "POST", "/v1/pods", podWith(`{"image":"x","ports":{"http":99999999999999999999}}`), nil, 422, "workload.ports.http", []string{"whole number"}},

	// Values that a pod cannot have.
	{"pod name", "POST", "/v1/pods", `{"name":"My Pod","workload":{"image":"x"}}`, nil, 422, "name", []string{"My Pod", "a-z"}},
	{"pod name too long", "POST", "/v1/pods", `{"name":"` + strings.Repeat("a", 41) + `","workload":{"image":"x"}}`, nil, 422, "name", []string{"1 to 40"}},
	{"neither image nor command", "POST", "/v1/pods", podWith(`{}`), nil, 422, "workload", []string{"neither image nor command"}},
	{"image", "POST", "/v1/pods", podWith(`{"image":"-rm"}`), nil, 422, "workload.image", []string{"nginx:1.27"}},
	{"pull", "POST", "/v1/pods", podWith(`{"image":"x","pull":"sometimes"}`), nil, 422, "workload.pull", []string{"missing"}},
	{"port 0", "POST", "/v1/pods", podWith(`{"image":"x","ports":{"http":0}}`), nil, 422, "workload.ports.http", []string{"1 to 65535"}},
	{"port name", "POST", "/v1/pods", podWith(`{"image":"x","ports":{"HTTP":80}}`), nil, 422, "workload.ports", []string{"HTTP"}},
	{"two kinds of probe", "POST", "/v1/pods", podWith(`{"image":"x","ports":{"http":80},"probe":{"tcp":true,"http":"/"}}`), nil, 422, "workload.probe", []string{"one of"}},
	{"probe path", "POST", "/v1/pods", podWith(`{"image":"x","ports":{"http":80},"probe":{"http":"healthz"}}`), nil, 422, "workload.probe.http", []string{"/healthz"}},
	{"probe port", "POST", "/v1/pods", podWith(`{"image":"x","ports":{"http":80},"probe":{"tcp":true,"port":"web"}}`), nil, 422, "workload.probe.port", []string{"workload.ports"}},
	{"probe interval without unit", "POST", "/v1/pods", podWith(`{"image":"x","probe":{"interval":5}}`), nil, 422, "workload.probe.interval", []string{"30s"}},
	{"reserved variable", "POST", "/v1/pods", podWith(`{"image":"x","env":{"PORT":"1"}}`), nil, 422, "workload.env.PORT", []string{"reserved"}},
	{"variable's name", "POST", "/v1/pods", podWith(`{"image":"x","env":{"A-B":"1"}}`), nil, 422, "workload.env", []string{"A-B"}},
	{"mount type", "POST", "/v1/pods", podWith(`{"image":"x","mounts":[{"type":"nfs","target":"/t"}]}`), nil, 422, "workload.mounts[0].type", []string{"tmpfs"}},
	{"mount target", "POST", "/v1/pods", podWith(`{"image":"x","mounts":[{"type":"tmpfs","target":"../t"}]}`), nil, 422, "workload.mounts[0].target", []string{"absolute path"}},
	{"secret without source", "POST", "/v1/pods", podWith(`{"image":"x","secrets":[{"name":"k"}]}`), nil, 422, "workload.secrets[0]", []string{`set "file" or "env"`}},
	{"secret's content", "POST", "/v1/pods", podWith(`{"image":"x","secrets":[{"name":"k","value":"hunter2"}]}`), nil, 422, "workload.secrets[0].value", []string{"is unknown"}},
	{"capability", "POST", "/v1/pods", podWith(`{"image":"x","cap_add":["CAP_SYS_ADMIN"]}`), nil, 422, "workload.cap_add[0]", []string{"without CAP_"}},
	{"security", "POST", "/v1/pods", podWith(image, `"security":"none"`), nil, 422, "security", []string{"strict"}},
	{"kind", "POST", "/v1/pods", podWith(image, `"kind":"cron"`), nil, 422, "kind", []string{"service"}},
	{"no CPU", "POST", "/v1/pods", podWith(image, `"limits":{"cpu":0}`), nil, 422, "limits.cpu", []string{"above 0"}},
	{"CPU is a string", "POST", "/v1/pods", podWith(image, `"limits":{"cpu":"500m"}`), nil, 422, "limits.cpu", []string{"0.5"}},
	{"too much CPU", "POST", "/v1/pods", podWith(image, `"limits":{"cpu":1e9}`), nil, 422, "limits.cpu", []string{"1024"}},
	{"CPU beyond numbers", "POST", "/v1/pods", podWith(image, `"limits":{"cpu":1e999}`), nil, 422, "limits.cpu", []string{"number of cores"}},
	{"memory's unit", "POST", "/v1/pods", podWith(image, `"limits":{"memory":"300 potatoes"}`), nil, 422, "limits.memory", []string{"300MiB"}},
	{"ambiguous unit", "POST", "/v1/pods", podWith(image, `"limits":{"memory":"300m"}`), nil, 422, "limits.memory", []string{"300MiB"}},
	{"too little memory", "POST", "/v1/pods", podWith(image, `"limits":{"memory":1}`), nil, 422, "limits.memory", []string{"6 MiB"}},
	{"memory's overflow", "POST", "/v1/pods", podWith(image, `"limits":{"memory":"999999999999TiB"}`), nil, 422, "limits.memory", []string{"300MiB"}},
	{"no nodes", "POST", "/v1/pods", podWith(image, `"max_nodes":0`), nil, 422, "max_nodes", []string{"at least 1"}},
	{"too many nodes", "POST", "/v1/pods", podWith(image, `"max_nodes":5000`), nil, 422, "max_nodes", []string{"1000"}},
	{"drain 0", "POST", "/v1/pods", podWith(image, `"drain":"0s"`), nil, 422, "drain", []string{"above 0"}},
	{"drain too long", "POST", "/v1/pods", podWith(image, `"drain":"48h"`), nil, 422, "drain", []string{"1h"}},
	{"host twice", "POST", "/v1/pods", podWith(image, `"hosts":["a","a"]`), nil, 422, "hosts[1]", []string{"twice"}},
	{"front's address", "POST", "/v1/pods", podWith(image, `"fronts":[{"listen":"localhost:80"}]`), nil, 422, "fronts[0].listen", []string{"IP address"}},
	{"front's port", "POST", "/v1/pods", podWith(image, `"fronts":[{"listen":"127.0.0.1:5001","port":"grpc"}]`), nil, 422, "fronts[0].port", []string{"workload.ports"}},
	{"front's algorithm", "POST", "/v1/pods", podWith(image, `"fronts":[{"listen":"127.0.0.1:5001","algorithm":"fastest"}]`), nil, 422, "fronts[0].algorithm", []string{"leastconn"}},
	{"front's retries", "POST", "/v1/pods", podWith(image, `"fronts":[{"listen":"127.0.0.1:5001","retries":-1}]`), nil, 422, "fronts[0].retries", []string{"0 is never"}},
	{"front's time-out", "POST", "/v1/pods", podWith(image, `"fronts":[{"listen":"127.0.0.1:5001","timeouts":{"connect":"48h"}}]`), nil, 422, "fronts[0].timeouts.connect", []string{"1ms to 24h"}},
	{"front's check path", "POST", "/v1/pods", podWith(image, `"fronts":[{"listen":"127.0.0.1:5001","check_path":"/a\nb"}]`), nil, 422, "fronts[0].check_path", []string{"/healthz"}},
	{"two fronts on one address", "POST", "/v1/pods", podWith(image, `"fronts":[{"name":"a","listen":"127.0.0.1:5001"},{"name":"b","listen":"127.0.0.1:5001"}]`), nil, 422, "fronts[1].listen", []string{"twice"}},
	{"two fronts without names", "POST", "/v1/pods", podWith(image, `"fronts":[{"listen":"127.0.0.1:5001"},{"listen":"127.0.0.1:5002"}]`), nil, 422, "fronts[0].name", []string{"not a name"}},
	{"every fault at once", "POST", "/v1/pods", `{"name":"A","workload":{"image":"-"},"limits":{"cpu":5000},"max_nodes":5000}`, nil, 422, "limits.cpu", []string{"name:", "workload.image:", "max_nodes:"}},

	// Pods that are there, or are not.
	{"exists", "POST", "/v1/pods", `{"name":"web","workload":{"image":"x"}}`, nil, 409, "", []string{"web", "another name"}},
	{"no such pod", "GET", "/v1/pods/wbe", "", nil, 404, "", []string{`did you mean "web"?`}},
	{"no such pod to change", "PATCH", "/v1/pods/nix", `{}`, nil, 404, "", []string{"/v1/pods"}},
	{"no such pod to replace", "PUT", "/v1/pods/wep", `{"workload":{"image":"x"}}`, nil, 404, "", []string{`"web"`}},
	{"no such pod to delete", "DELETE", "/v1/pods/we", "", nil, 404, "", []string{`"web"`}},
	{"rename by PUT", "PUT", "/v1/pods/web", `{"name":"other","workload":{"image":"x"}}`, nil, 422, "name", []string{"cannot be renamed"}},
	{"rename by PATCH", "PATCH", "/v1/pods/web", `{"name":"other"}`, nil, 422, "name", []string{"cannot be renamed"}},
	{"remove the name", "PATCH", "/v1/pods/web", `{"name":null}`, nil, 422, "name", []string{"is missing"}},
	{"patch of an unknown field", "PATCH", "/v1/pods/web", `{"limits":{"mem":"1GiB"}}`, nil, 422, "limits.mem", []string{`"memory"`}},
	{"patch that breaks the whole", "PATCH", "/v1/pods/web", `{"workload":{"ports":{"http":null,"web":80}}}`, nil, 422, "workload.probe.port", []string{"workload.ports"}},
	{"patch with a list", "PATCH", "/v1/pods/web", `[]`, nil, 422, "", []string{"JSON object"}},
	{"wait without unit", "DELETE", "/v1/pods/web?wait=30", "", nil, 422, "wait", []string{"30s"}},
	{"wait too long", "POST", "/v1/pods/web/pause?wait=1h", "", nil, 422, "wait", []string{"10m"}},
	{"negative wait", "POST", "/v1/pods/web/launch?wait=-1s", "", nil, 422, "wait", []string{"30s"}},
	{"unknown parameter", "GET", "/v1/pods?lmit=3", "", nil, 422, "lmit", []string{"lmit: is not a query parameter here; leave it out"}},
	{"parameter without a value", "POST", "/v1/reload?dry_run=", "", nil, 422, "dry_run", []string{"is empty"}},
	{"parameters run together", "POST", "/v1/restore?dry_run&any_cluster=true", "", nil, 422, "dry_run", []string{"is empty"}},
	{"parameter twice", "POST", "/v1/reload?dry_run=false&dry_run=true", "", nil, 422, "dry_run", []string{"once"}},
	{"query that cannot be read", "POST", "/v1/reload?dry_run=%zz", "", nil, 422, "", []string{"percent-encode"}},
	{"body that nobody reads", "POST", "/v1/reload", `{"dry_run":true}`, nil, 400, "", []string{"takes none"}},
	{"body of a deletion", "DELETE", "/v1/pods/web", `{"wait":"1m"}`, nil, 400, "", []string{"takes none"}},
	{"limit", "GET", "/v1/pods?limit=0", "", nil, 422, "limit", []string{"1"}},
	{"limit is a word", "GET", "/v1/pods?limit=many", "", nil, 422, "limit", []string{"many", "use a whole number"}},

	{"revision", "POST", "/v1/pods/web/rollout/undo", `{"revision":-3}`, nil, 422, "revision", []string{"use a whole number, 0 or more"}},
	// Nodes.
	{"node's name", "POST", "/v1/pods/web/nodes", `{"name":"a b"}`, nil, 422, "name", []string{"a-z"}},
	{"node exists", "POST", "/v1/pods/web/nodes", `{"name":"web-1"}`, nil, 409, "", []string{"another name"}},
	{"node's state", "POST", "/v1/pods/web/nodes", `{"state":"online"}`, nil, 422, "state", []string{"is unknown"}},
	{"no such node", "GET", "/v1/pods/web/nodes/wep-1", "", nil, 404, "", []string{`did you mean "web-1"?`}},
	{"no such node to remove", "DELETE", "/v1/pods/web/nodes/x", "", nil, 404, "", []string{"/v1/pods/web/nodes"}},
	{"no such node's logs", "GET", "/v1/pods/web/nodes/x/logs", "", nil, 404, "", []string{"has no node"}},
	{"nodes of no pod", "GET", "/v1/pods/nix/nodes", "", nil, 404, "", []string{"no pod"}},
	{"tail", "GET", "/v1/pods/web/nodes/web-1/logs?tail=-1", "", nil, 422, "tail", []string{"1"}},
	{"follow", "GET", "/v1/pods/web/nodes/web-1/logs?follow=maybe", "", nil, 422, "follow", []string{"use true or false"}},

	// Elasticity.
	{"thresholds too near", "PUT", "/v1/pods/web/elasticity", `{"enabled":true,"policy":{"kind":"threshold","lower":0.65,"upper":0.7}}`, nil, 422, "policy.upper", []string{"0.1"}},
	{"short threshold too near", "PATCH", "/v1/pods/web/elasticity", `{"lower_threshold":0.69}`, nil, 422, "", []string{"0.1"}},
	{"threshold over 1", "PATCH", "/v1/pods/web/elasticity", `{"upper_threshold":70}`, nil, 422, "upper_threshold", []string{"0 to 1"}},
	{"threshold is a word", "PATCH", "/v1/pods/web/elasticity", `{"upper_threshold":"high"}`, nil, 422, "upper_threshold", []string{"use a number"}},
	{"min 0", "PATCH", "/v1/pods/web/elasticity", `{"min":0}`, nil, 422, "min", []string{"at least 1"}},
	{"max below min", "PUT", "/v1/pods/web/elasticity", `{"enabled":true,"min":5,"max":3}`, nil, 422, "max", []string{"below min"}},
	{"max over max_nodes", "PUT", "/v1/pods/web/elasticity", `{"enabled":true,"max":100}`, nil, 422, "max", []string{"max_nodes (15)"}},
	{"mode", "PUT", "/v1/pods/web/elasticity", `{"enabled":true,"mode":"maybe"}`, nil, 422, "mode", []string{"dry-run"}},
	{"enabled is missing", "PUT", "/v1/pods/web/elasticity", `{"min":1}`, nil, 422, "enabled", []string{"is missing"}},
	{"kind of policy", "PUT", "/v1/pods/web/elasticity", `{"enabled":true,"policy":{"kind":"treshold"}}`, nil, 422, "policy.kind", []string{`"threshold"`}},
	{"policy without kind", "PUT", "/v1/pods/web/elasticity", `{"enabled":true,"policy":{"lower":0.1}}`, nil, 422, "policy.kind", []string{"is missing"}},
	{"policy is a string", "PUT", "/v1/pods/web/elasticity", `{"enabled":true,"policy":"threshold"}`, nil, 422, "policy", []string{"use an object with a kind"}},
	{"unknown field of a policy", "PATCH", "/v1/pods/web/elasticity", `{"policy":{"uper":0.9}}`, nil, 422, "policy.uper", []string{`"upper"`}},
	{"elasticity of no pod", "PUT", "/v1/pods/nix/elasticity", `{"enabled":true}`, nil, 404, "", []string{"no pod"}},

	// History and events.
	{"since", "GET", "/v1/pods/web/metrics?since=yesterday", "", nil, 422, "since", []string{"5m"}},
	{"decisions' limit", "GET", "/v1/pods/web/decisions?limit=-5", "", nil, 422, "limit", []string{`"-5" is no good query parameter; use number >= 1`}},
	{"metrics of no pod", "GET", "/v1/pods/nix/metrics", "", nil, 404, "", []string{"no pod"}},
	{"type of event", "GET", "/v1/events?types=pod.scale", "", nil, 422, "types", []string{`did you mean "pod.scaled"?`}},
	{"last event", "GET", "/v1/events", "", []string{"Last-Event-ID", "abc"}, 422, "Last-Event-ID", []string{"a number"}},
	{"after", "GET", "/v1/events?after=-1", "", nil, 422, "after", []string{"a number"}},

	// Hosts.
	{"host without runtime", "POST", "/v1/hosts", `{"name":"h"}`, nil, 422, "runtime", []string{"is missing"}},
	{"host's address", "POST", "/v1/hosts", `{"name":"h","runtime":"docker","address":"http://x"}`, nil, 422, "address", []string{"ssh://"}},
	{"host without TLS", "POST", "/v1/hosts", `{"name":"h","runtime":"docker","address":"tcp://10.0.0.5:2376","bind":"10.0.0.5"}`, nil, 422, "tls", []string{"root"}},
	{"remote host on loopback", "POST", "/v1/hosts", `{"name":"h","runtime":"docker","address":"ssh://far","bind":"127.0.0.1"}`, nil, 422, "bind", []string{"loopback"}},
	{"host's password", "POST", "/v1/hosts", `{"name":"h","runtime":"docker","registries":{"r":{"password":"hunter2"}}}`, nil, 422, "registries.r.password", []string{"password_file"}},
	{"host's overcommit", "POST", "/v1/hosts", `{"name":"h","runtime":"docker","cpu_overcommit":0}`, nil, 422, "cpu_overcommit", []string{"1 to 1000"}},
	{"host exists", "POST", "/v1/hosts", `{"name":"local","runtime":"process"}`, nil, 409, "", []string{"another name"}},
	{"no such host", "GET", "/v1/hosts/locl", "", nil, 404, "", []string{`did you mean "local"?`}},
	{"no such host to remove", "DELETE", "/v1/hosts/nix", "", nil, 404, "", []string{"/v1/hosts"}},
	{"change a host's address", "PATCH", "/v1/hosts/local", `{"address":"ssh://far","bind":"10.0.0.5"}`, nil, 422, "address", []string{"add it again"}},
	{"cordon with a word", "PATCH", "/v1/hosts/local", `{"cordoned":"yes"}`, nil, 422, "cordoned", []string{"true or false"}},

	// Routes.
	{"no such path", "GET", "/v1/pod", "", nil, 404, "", []string{"/v1/pods"}},
	{"slash at the end", "GET", "/v1/pods/", "", nil, 404, "", []string{"slash"}},
	{"version", "GET", "/v2/pods", "", nil, 404, "", []string{"/v1/pods"}},
	{"method", "PUT", "/v1/pods", `{}`, nil, 405, "", []string{"use GET, HEAD, POST"}},
	{"method of a host", "PUT", "/v1/hosts/local", `{}`, nil, 405, "", []string{"PATCH"}},
	{"method of nobody", "BREW", "/v1/pods", "", nil, 405, "", []string{"BREW"}},
	{"no such file", "GET", "/docs/passwd", "", nil, 404, "", []string{"/docs"}},
	{"foreign name", "GET", "/v1/pods", "", []string{"Host", "evil.example"}, 421, "", []string{"evil.example", "allowed hosts"}},
	{"foreign page", "POST", "/v1/pods/web/pause", "", []string{"Origin", "https://evil.example"}, 403, "", []string{"another origin"}},
	{"foreign page of a browser", "DELETE", "/v1/pods/web", "", []string{"Sec-Fetch-Site", "cross-site"}, 403, "", []string{"another origin"}},
}

func TestBadRequests(t *testing.T) {
	require.GreaterOrEqual(t, len(bad), 60)
	f := newFake()
	a := newAPI(t, f)
	state := func() string {
		data, err := json.Marshal([]any{f.Pods(), f.Hosts()})
		require.NoError(t, err)
		return string(data)
	}
	before := state()
	for i, c := range bad {
		t.Run(fmt.Sprintf("%d %s", i, c.name), func(t *testing.T) {
			var body any
			if c.body != "" {
				body = c.body
			}
			r := call(t, a, c.method, c.path, body, c.headers...)
			p := problemOf(t, r)
			require.Equal(t, c.status, r.StatusCode, p.Detail)
			for _, part := range c.says {
				assert.Contains(t, p.Detail, part)
			}
			if c.field != "" {
				paths := make([]string, 0, len(p.Errors))
				for _, e := range p.Errors {
					paths = append(paths, e.Path)
					assert.NotEmpty(t, e.Problem)
					assert.NotEmpty(t, e.Allowed, "%s: what would be right", e)
				}
				assert.Contains(t, paths, c.field)
				assert.Contains(t, p.Detail, c.field)
			}
			assert.Equal(t, before, state(), "nothing is half made")
		})
	}
}

// Whatever comes, it is answered with a problem of the client's, not of ours.
func FuzzCreatePod(f *testing.F) {
	for _, c := range bad {
		f.Add(c.body)
	}
	f.Add(podWith(image))
	a, err := api.New(api.Config{Manager: newFake()})
	require.NoError(f, err)
	defer func() { _ = a.Close() }()
	f.Fuzz(func(t *testing.T, body string) {
		for _, target := range [][2]string{{"POST", "/v1/pods"}, {"PATCH", "/v1/pods/web"}, {"PUT", "/v1/pods/web/elasticity"}, {"PATCH", "/v1/pods/web/elasticity"}, {"POST", "/v1/hosts"}} {
			r := call(t, a, target[0], target[1], body)
			data, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			require.Less(t, r.StatusCode, 500, "%s", data)
			require.True(t, json.Valid(data))
			if r.StatusCode >= 400 {
				var p wire.ProblemDetails
				require.NoError(t, json.Unmarshal(data, &p))
				require.NotEmpty(t, p.Detail)
			}
		}
	})
}

// A body with a fault in every field of very many is answered with the first of
// them, in no more time and words than that takes.
func TestManyFaultsAreAnsweredWithTheFirst(t *testing.T) {
	a := newAPI(t, newFake())
	many := func(each string) string {
		var b strings.Builder
		for i := range 50000 {
			fmt.Fprintf(&b, each, i)
		}
		return strings.TrimSuffix(b.String(), ",")
	}
	for name, c := range map[string]struct {
		body string
		says string
	}{
		"unknown fields": {`{"name":"bad",` + many(`"nam%d":1,`) + `}`, "is unknown"},
		"unknown hosts":  {podWith(image, `"hosts":[`+many(`"h%d.",`)+`]`), "and 49900 more"},
		"wrong items":    {podWith(`{"command":[` + many(`%d,`) + `]}`), "use a string"},
	} {
		t.Run(name, func(t *testing.T) {
			begun := time.Now()
			r := call(t, a, "POST", "/v1/pods", c.body)
			took := time.Since(begun)
			body, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			assert.Equal(t, 422, r.StatusCode)
			var p wire.ProblemDetails
			require.NoError(t, json.Unmarshal(body, &p))
			assert.Contains(t, p.Detail, c.says)
			assert.Len(t, p.Errors, 100)
			assert.Less(t, len(body), 128<<10)
			t.Logf("%d bytes in, %d out, %s", len(c.body), len(body), took)
		})
	}
}
