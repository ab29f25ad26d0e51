package serve_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/serve"
)

// check runs the server with --check and a configuration file.
func check(t *testing.T, yaml string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	if yaml != "" {
		file := filepath.Join(t.TempDir(), "c.yaml")
		require.NoError(t, os.WriteFile(file, []byte(yaml), 0o600))
		args = append([]string{"--config", file}, args...)
	}
	var out, errs bytes.Buffer
	p := serve.Program{
		Demo:    func(context.Context, *cms.Manager, string) error { return nil },
		Environ: []string{"HOME=/home/x", "GOOD=0123456789abcdef", "SHORT=abc"}, Stdout: &out, Stderr: &errs,
	}
	code = p.Run(t.Context(), append([]string{"--check"}, args...))
	return code, out.String(), errs.String()
}

const web = "pods:\n- name: web\n  workload: {command: [sleep, \"9\"], ports: {http: 80}}\n"

// TestBadConfigs: each gets exit code 2 and, for each fault, one line with file,
// line and column, the field, the problem and the fix.
func TestBadConfigs(t *testing.T) {
	for _, c := range []struct {
		name, yaml string
		want       []string // beginning at the place: "line:column: …"
	}{
		{"unknown field", "lisetn: 127.0.0.1:3000", []string{`1:1: lisetn: is unknown; did you mean "listen"?`}},
		{"unknown field, far off", "a: 1\nqqqqqqqqqqqqqqqqqqqqq: 2", []string{`2:1: qqqqqqqqqqqqqqqqqqqqq: is unknown; use "cluster", "listen",`}},
		{"unknown nested field", "log: {levl: info}", []string{`1:7: log.levl: is unknown; did you mean "level"?`}},
		{"unknown field of a pod", web + "  limit: {cpu: 1}", []string{`4:3: pods[0].limit: is unknown; did you mean "limits"?`}},
		{"unknown field of a workload", "pods:\n- name: web\n  workload:\n    comand: [x]", []string{`4:5: pods[0].workload.comand: is unknown; did you mean "command"?`}},
		{"unknown field of a host", "hosts:\n- {name: a, runtime: docker, adress: x}", []string{`2:30: hosts[0].adress: is unknown; did you mean "address"?`}},
		{"not YAML", "listen: [", []string{"1:9: "}},
		{"tab", "log:\n\tlevel: info", []string{"2:1: "}},
		{"twice", "listen: 127.0.0.1:1\nlisten: 127.0.0.1:2", []string{"2:1: "}},
		{"two documents", "listen: 127.0.0.1:1\n---\nlisten: 127.0.0.1:2", []string{"3:1: the file holds a second document; put everything into one"}},
		{"a list at the top", "- listen", []string{`is a list; use an object that sets "cluster", "listen"`}},
		{"text for a group", "log: info", []string{`1:6: log: is the string "info"; use an object that sets "format" or "level"`}},
		{"text for a list", "pods: web", []string{`1:7: pods: is the string "web"; use a list`}},
		{"group for text", "listen: {host: 1}", []string{"1:1: listen: is an object; use a string"}},
		{"number for text", web + "    env: {A: 1}", []string{"4:5: "}},
		{"number for text in a map", "pods:\n- name: web\n  workload:\n    command: [x]\n    env: {A: 1}", []string{`5:14: pods[0].workload.env.A: is a number; use a string, in quotes`}},
		{"text for a bool", "insecure: sure", []string{`1:11: insecure: is the string "sure"; use true or false`}},
		{"text for a number", web + "  fronts: [{listen: 127.0.0.1:80, max_conn: many}]", []string{`4:45: pods[0].fronts[0].max_conn: is the string "many"; use a whole number`}},
		{"undefined alias", "log: *base", []string{`1:7: could not find alias "base"`}},

		{"merge of a list", "log: {<<: [1]}", []string{"1:12: int was used where mapping is expected"}},
		{"infinite number", "tracing: {sample: .inf}", []string{"1:1: unsupported value: +Inf"}},
		{"quoted number", web + "  max_nodes: \"3\"", []string{`4:14: pods[0].max_nodes: "3" is a string; use a whole number of at least 1`}},
		{"empty variable", "pods:\n- name: web\n  workload: {command: [x], env: {A: }}", []string{"pods[0].workload.env.A: is null; use a string"}},

		{"duration without a unit", "tick: 5", []string{`1:7: tick: "5" is not such a duration; use a duration above 0 such as "30s"`}},
		{"wrong unit of time", "stop_timeout: 5 parsecs", []string{"1:15: stop_timeout: ", "use a duration above 0"}},
		{"tick too short", "tick: 1ms", []string{"1:7: tick: 1ms is out of range; use 50ms to 1m"}},
		{"wrong unit of memory", web + "  limits: {memory: 300 MiBs}", []string{`4:20: pods[0].limits.memory: "300 MiBs" is not an amount of memory; use an amount above 0 such as "300MiB"`}},
		{"too little memory", web + "  limits: {memory: 1KiB}", []string{"4:20: pods[0].limits.memory: 1024 bytes is out of range; use 6 MiB to 64 TiB"}},
		{"negative CPU", web + "  limits: {cpu: -1}", []string{`4:17: pods[0].limits.cpu: "-1" is not an amount of CPU; use a number of cores above 0`}},
		{"too many nodes", web + "  max_nodes: 2000", []string{"4:14: pods[0].max_nodes: 2000 is out of range; use 1 to 1000"}},
		{"more nodes than max", web + "  max_nodes: 2\n  nodes: 3", []string{"5:10: pods[0].nodes: 3 is above it; use at most max_nodes (2)"}},

		{"bad cluster name", "cluster: My Cluster", []string{`1:10: cluster: "My Cluster" is not a name; use 1 to 40 of a-z`}},
		{"bad stack", "stack: kubernetes", []string{`1:8: stack: "kubernetes" is unknown; use "embedded" or "docker"`}},
		{"bad log level", "log: {level: loud}", []string{`1:14: log.level: "loud" is unknown; use "debug"`}},
		{"bad log format", "log: {format: xml}", []string{`1:15: log.format: "xml" is unknown; use "text" or "json"`}},
		{"listen without port", "listen: 127.0.0.1", []string{`1:9: listen: "127.0.0.1" is not an address; use an IP address and a port`}},
		{"listen on a name", "listen: example.com:3000", []string{`1:9: listen: "example.com" is not an IP address`}},
		{"open to others", "listen: 0.0.0.0:3000", []string{"1:9: listen: 0.0.0.0:3000 can be reached from other machines; set a token (--token-file) and TLS (--tls-cert and --tls-key), or accept the risk with --insecure"}},
		{"open to others with a token", "listen: '[::]:3000'\ntokens: [{name: a, role: viewer, env: GOOD}]", []string{"1:9: listen: [::]:3000 can be reached from other machines; set TLS"}},
		{"certificate without key", "tls: {cert: a.pem}", []string{"1:13: tls.cert: has no key; set the key too"}},
		{"missing certificate", "tls: {cert: /no/a.pem, key: /no/a.key}", []string{"1:13: tls.cert: /no/a.pem: no such file or directory; name PEM files"}},
		{"token without source", "tokens:\n- {name: a, role: viewer}", []string{`tokens[0]: needs exactly one source of its secret; set "env" or "file"`}},
		{"token without variable", "tokens:\n- {name: a, role: viewer, env: NOPE}", []string{"2:32: tokens[0].env: NOPE is not in the environment; set the variable"}},
		{"short token", "tokens:\n- {name: a, role: viewer, env: SHORT}", []string{`2:4: tokens[0]: the secret of token "a" is 3 characters long; use at least 16`}},
		{"token of unknown role", "tokens:\n- {name: a, role: root, env: GOOD}", []string{`2:4: tokens[0]: role "root" of token "a" is unknown; use viewer, client or operator`}},
		{"token file missing", "token_file: /no/tokens", []string{"1:13: token_file: /no/tokens: no such file or directory"}},

		{"host of unknown runtime", "hosts:\n- {name: a, runtime: podman}", []string{`2:22: hosts[0].runtime: "podman" is unknown; use "docker" or "process"`}},
		{"host twice", "hosts:\n- {name: a, runtime: docker}\n- {name: a, runtime: docker}", []string{`3:10: hosts[1].name: "a" is used twice`}},
		{"process host elsewhere", "hosts:\n- {name: a, runtime: process, address: 'ssh://x', bind: 10.0.0.1}", []string{`2:40: hosts[0].address: "ssh://x" cannot be used for processes; leave it out`}},
		{"tcp without TLS", "hosts:\n- {name: a, runtime: docker, address: 'tcp://10.0.0.5:2375', bind: 10.0.0.5}", []string{"2:4: hosts[0].tls: is incomplete", "set ca, cert and key"}},
		{"overcommit", "hosts:\n- {name: a, runtime: docker, cpu_overcommit: 0.5}", []string{"2:46: hosts[0].cpu_overcommit: 0.5 is out of range; use 1 to 1000"}},

		{"pod without a name", "pods:\n- workload: {command: [x]}", []string{`2:3: pods[0].name: "" is not a name; use 1 to 40 of a-z`}},
		{"pod twice", web + "- name: web\n  workload: {command: [x]}", []string{`4:9: pods[1].name: "web" is used twice; give each pod a name of its own`}},
		{"pod without workload", "pods:\n- name: web", []string{`pods[0].workload: has neither image nor command; set "image" (Docker hosts) or "command" (process hosts)`}},
		{"image on processes", "pods:\n- name: web\n  workload: {image: nginx}", []string{`3:21: pods[0].workload.image: needs a Docker host, and the pod has none; use "command", or the docker stack`}},
		{"command on Docker", "stack: docker\n" + web, []string{`4:3: pods[0].workload: has no image, and the pod has Docker hosts only; set "image", or use the embedded stack`}},
		{"front on a name", web + "  fronts: [{listen: 'localhost:80'}]", []string{`4:21: pods[0].fronts[0].listen: "localhost:80" is not an address to listen on`}},
		{"front on the API", web + "  fronts: [{listen: '127.0.0.1:3000'}]", []string{"4:21: pods[0].fronts[0].listen: 127.0.0.1:3000 is taken by the API"}},
		{"two pods on one front", web + "  fronts: [{listen: '127.0.0.1:80'}]\n- name: api\n  workload: {command: [x], ports: {http: 1}}\n  fronts: [{listen: '127.0.0.1:80'}]", []string{"7:21: pods[1].fronts[0].listen: 127.0.0.1:80 is taken by web"}},
		{"front of unknown port", web + "  fronts: [{listen: '127.0.0.1:80', port: admin}]", []string{`4:43: pods[0].fronts[0].port: "admin" is not a port of the workload; name one of workload.ports`}},
		{"reserved variable", "pods:\n- name: web\n  workload: {command: [x], env: {PORT: \"1\"}}", []string{"3:40: pods[0].workload.env.PORT: is reserved; choose another name"}},
		{"min above max", web + "  elasticity: {enabled: true, min: 5, max: 2}", []string{"4:44: pods[0].elasticity.max: 2 is below min; use at least min (5)"}},
		{"max above max_nodes", web + "  max_nodes: 3\n  elasticity: {enabled: true, max: 9}", []string{"5:36: pods[0].elasticity.max: 9 is above it; use at most the pod's max_nodes (3)"}},
		{"unknown policy", web + "  elasticity:\n    enabled: true\n    policy: {kind: thresold}", []string{"6:", "pods[0].elasticity.policy.kind: ", "thresold"}},
		{"thresholds too close", web + "  elasticity:\n    enabled: true\n    policy: {kind: threshold, lower: 0.5, upper: 0.55}", []string{"6:50: pods[0].elasticity.policy.upper: 0.55 is too close to lower 0.5; use an upper threshold that is at least 0.1 above"}},
		{"threshold out of range", web + "  elasticity:\n    policy: {kind: threshold, lower: 30, upper: 70}", []string{"5:38: pods[0].elasticity.policy.lower: 30 is out of range; use a fraction"}},
		{"policy that is text", web + "  elasticity: {policy: threshold}", []string{`4:24: pods[0].elasticity.policy: "threshold" is not a policy; use an object with a kind`}},
		{"one end of a range", "process: {port_min: 20000}", []string{"1:1: process: has one end of a range of ports only; set both port_min and port_max"}},
		{"ports backwards", "process: {port_min: 3000, port_max: 2000}", []string{"1:21: process.port_min: 3000 to 2000 is not a range of ports"}},
		{"bad default pod", "default_pods:\n- {name: X, workload: {command: [x]}}", []string{`2:10: default_pods[0].name: "X" is not a name`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := check(t, c.yaml)
			assert.Equal(t, serve.ExitUsage, code)
			assert.Empty(t, stdout)
			assert.Contains(t, stderr, "c.yaml:")
			for _, w := range c.want {
				if w[0] >= '0' && w[0] <= '9' {
					w = "c.yaml:" + w
				}
				assert.Contains(t, stderr, w)
			}
			for line := range strings.Lines(stderr) {
				assert.Regexp(t, `^server: .+c\.yaml(:\d+:\d+)?: \S.*\n$`, line)
			}
		})
	}
}

func TestBadFlags(t *testing.T) {
	dir := t.TempDir()
	open := filepath.Join(dir, "open")
	require.NoError(t, os.WriteFile(open, []byte("a viewer 0123456789abcdef\n"), 0o644))
	bad := filepath.Join(dir, "bad")
	require.NoError(t, os.WriteFile(bad, []byte("# comment\na viewer\nb root 0123456789abcdef\nc viewer short\nd viewer env:NOPE\n"), 0o600))
	empty := filepath.Join(dir, "empty")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"--lisetn", "x"}, []string{"--lisetn: is not a flag; did you mean --listen?"}},
		{[]string{"-x"}, []string{"is not a flag"}},
		{[]string{"start"}, []string{`"start" is not a flag; flags begin with --, see server --help`}},
		{[]string{"--listen"}, []string{"flag needs an argument: -listen; see server --help"}},
		{[]string{"--listen", ""}, []string{"--listen: is empty; give it a value, or leave it out"}},
		{[]string{"--listen", "3000"}, []string{`--listen: "3000" is not an address; use an IP address and a port`}},
		{[]string{"--listen", ":99999"}, []string{`--listen: ":99999" is not an address`}},
		{[]string{"--listen", ":3000"}, []string{"--listen: :3000 can be reached from other machines; set a token (--token-file) and TLS"}},
		{[]string{"--stack", "swarm"}, []string{`--stack: "swarm" is unknown; use "embedded" or "docker"`}},
		{[]string{"--check", "--demo=maybe"}, []string{`invalid boolean value "maybe" for -demo: parse error; see server --help`}},
		{[]string{"--config", "/no/such.yaml"}, []string{"--config: /no/such.yaml: no such file or directory; name a YAML file"}},
		{[]string{"--config", dir}, []string{"--config: ", "is a directory"}},
		{[]string{"--tls-cert", "/no/cert.pem"}, []string{"--tls-cert: has no key; set the key too"}},
		{[]string{"--tls-key", "/no/key.pem"}, []string{"--tls-key: has no certificate"}},
		{[]string{"--tls-cert", "/no/cert.pem", "--tls-key", "/no/key.pem"}, []string{"--tls-cert: /no/cert.pem: no such file"}},
		{[]string{"--token-file", "/no/tokens"}, []string{"--token-file: /no/tokens: no such file"}},
		{[]string{"--token-file", open}, []string{"--token-file: " + open + " can be read by others (mode 0644); chmod 600 " + open}},
		{[]string{"--token-file", empty}, []string{"--token-file: " + empty + ` holds no token; write "name role secret"`}},
		{[]string{"--token-file", bad}, []string{
			bad + ":2: has 2 words; write", bad + `:3: role "root"`, bad + `:4: the secret of token "c" is 5 characters long`, bad + ":5: NOPE is not in the environment",
		}},
		{[]string{"--log-level", "loud"}, []string{"--log-level: "}},
		{[]string{"--log-format", "xml"}, []string{"--log-format: "}},
		{[]string{"--demo", "--stack", "docker"}, []string{"--stack: does not go with --demo"}},
		{[]string{"--demo", "--config", "x"}, []string{"--config: does not go with --demo"}},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			code, stdout, stderr := check(t, "", c.args...)
			assert.Equal(t, serve.ExitUsage, code, stderr)
			assert.Empty(t, stdout)
			for _, w := range c.want {
				assert.Contains(t, stderr, w)
			}
			assert.NotContains(t, stderr, "0123456789abcdef", "secrets are never shown")
		})
	}
}

// Every fault is named at once, in the order of the file.
func TestAllFaultsAtOnce(t *testing.T) {
	_, _, stderr := check(t, "stack: x\nlog: {level: y}\ntick: 1ms\npods:\n- name: W\n  workload: {command: [a], user: '!'}\n  limits: {pids: 9999999}\n", "--listen", "z")
	for _, w := range []string{"c.yaml:1:8: stack", "c.yaml:2:14: log.level", "c.yaml:3:7: tick", "--listen: ", "c.yaml:5:9: pods[0].name", "pods[0].workload.user", "pods[0].limits.pids"} {
		assert.Contains(t, stderr, w)
	}
}

// Tokens that cannot be read are the one fault: they are not missing.
func TestUnreadableTokensAreTheOnlyFault(t *testing.T) {
	for _, config := range []string{"token_file: /no/tokens", "tokens: [{name: a, role: viewer, file: /no/secret}]"} {
		file := filepath.Join(t.TempDir(), "server.yaml")
		require.NoError(t, os.WriteFile(file, []byte("insecure: false\n"+config+"\n"), 0o600))
		_, _, stderr := check(t, "", "--config", file, "--listen", "0.0.0.0:3000")
		assert.Contains(t, stderr, "no such file")
		assert.Contains(t, stderr, "can be reached from other machines; set TLS (--tls-cert and --tls-key), or accept")
	}
}
