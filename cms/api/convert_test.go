package api_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/api"
	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/pod"
)

var name = rapid.StringMatching(`[a-z][a-z0-9-]{0,10}`)

// drawPod draws a spec that is valid, with every kind of setting.
func drawPod(t *rapid.T) cms.PodSpec {
	ms := func(label string, most time.Duration) time.Duration {
		return time.Duration(rapid.Int64Range(0, most.Milliseconds()).Draw(t, label)) * time.Millisecond
	}
	s := cms.PodSpec{Spec: pod.Spec{
		Name: name.Draw(t, "name"),
		Kind: rapid.SampledFrom([]pod.Kind{"", pod.KindService, pod.KindJob}).Draw(t, "kind"),
		Workload: pod.Workload{
			Image: "img:1", Pull: rapid.SampledFrom([]pod.PullPolicy{"", pod.PullAlways, pod.PullNever}).Draw(t, "pull"),
			Command:  rapid.SliceOfN(rapid.StringMatching(`[a-z]{1,5}`), 0, 3).Draw(t, "command"),
			Env:      map[string]string{"A": rapid.StringMatching(`[ -~]{0,20}`).Draw(t, "env")},
			Ports:    map[string]int{"http": 8080, "admin": 9090},
			User:     rapid.SampledFrom([]string{"", "1000:1000"}).Draw(t, "user"),
			Mounts:   []pod.Mount{{Kind: pod.MountTmpfs, Target: "/t", Size: rapid.Int64Range(0, 1<<40).Draw(t, "size")}},
			Secrets:  []pod.Secret{{Name: "k", FromEnv: "K"}},
			Security: rapid.SampledFrom([]pod.Security{"", pod.SecurityStrict}).Draw(t, "security"),
			Probe: rapid.SampledFrom([]pod.Probe{
				{}, {Kind: pod.ProbeNone}, {Kind: pod.ProbeTCP, Port: "admin"}, {Kind: pod.ProbeHTTP, Path: "/h"}, {Path: "/h", Port: "admin"},
			}).Draw(t, "probe"),
		},
		Limits: pod.Limits{
			CPU:    rapid.SampledFrom([]float64{0, 0.01, 0.3, 2}).Draw(t, "cpu"),
			Memory: rapid.SampledFrom([]int64{0, 300 << 20, 1e9, 6<<20 + 1}).Draw(t, "memory"),
			PIDs:   rapid.Int64Range(0, 1000).Draw(t, "pids"),
		},
		MaxNodes: rapid.IntRange(0, 1000).Draw(t, "max"),
		Hosts:    rapid.SampledFrom([][]string{nil, {"a", "b"}}).Draw(t, "hosts"),
		Drain:    ms("drain", time.Hour), Grace: ms("grace", time.Hour),
	}}
	if len(s.Workload.Command) == 0 {
		s.Workload.Command = nil // an empty list is one that was left out
	}
	s.Workload.Probe.Interval, s.Workload.Probe.Timeout = ms("interval", time.Minute), ms("timeout", time.Minute)
	for i, listen := range []string{"127.0.0.1:5100", "[::1]:5101"}[:rapid.IntRange(0, 2).Draw(t, "fronts")] {
		s.Fronts = append(s.Fronts, cms.Front{Port: rapid.SampledFrom([]string{"", "http", "admin"}).Draw(t, "port"), Front: balancer.Front{
			Name: []string{"one", "two"}[i], Listen: listen,
			Algorithm: rapid.SampledFrom([]balancer.Algorithm{"", balancer.Random, balancer.Source}).Draw(t, "algorithm"),
			MaxConn:   rapid.IntRange(0, 100).Draw(t, "conn"),
			Retries:   rapid.IntRange(-1, 100).Draw(t, "retries"),
			CheckPath: rapid.SampledFrom([]string{"", "/h", "/other"}).Draw(t, "check"),
			Timeouts:  balancer.Timeouts{Connect: ms("connect", time.Minute)},
		}})
	}
	return s
}

// What is read can be written back unchanged: through JSON, a complete spec
// comes back equal.
func TestPodsComeBackEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		full := drawPod(t).WithDefaults()
		require.NoError(t, full.Validate())
		data, err := json.Marshal(api.PodSettings(full))
		require.NoError(t, err)
		var p wire.Pod
		require.NoError(t, json.Unmarshal(data, &p), "%s", data)
		back, err := api.PodSpec(p)
		require.NoError(t, err, "%s", data)
		want, err := json.Marshal(full)
		require.NoError(t, err)
		got, err := json.Marshal(back.WithDefaults())
		require.NoError(t, err)
		require.JSONEq(t, string(want), string(got), "%s", data)
	})
}

func TestHostsComeBackEqual(t *testing.T) {
	h := pod.Host{
		Name: "far", Runtime: "docker", Address: "tcp://10.0.0.5:2376", TLS: pod.HostTLS{CA: "/ca", Cert: "/cert", Key: "/key"},
		Capacity: pod.Resources{CPU: 3.5, Memory: 7e9}, AddressMode: pod.AddressPublished, Bind: "0.0.0.0", Advertise: "10.0.0.5",
		Registries: map[string]pod.RegistryAuth{"r.example": {Username: "u", PasswordFile: "/p"}}, Cordoned: true, Labels: map[string]string{"rack": "2"},
	}.WithDefaults()
	back, err := api.HostSpec(api.HostSettings(h))
	require.NoError(t, err)
	assert.Equal(t, h, back)
}

// An empty list is a list that was left out: both are the same pod, of the same
// revision.
func TestEmptyIsLeftOut(t *testing.T) {
	var full, empty wire.Pod
	require.NoError(t, json.Unmarshal([]byte(`{"name":"a","workload":{"image":"x"}}`), &full))
	require.NoError(t, json.Unmarshal([]byte(`{"name":"a","hosts":[],"fronts":[],"workload":{"image":"x","command":[],"entrypoint":[],"env":{},"ports":{},"mounts":[],"secrets":[],"networks":[],"extra_hosts":{},"cap_add":[]}}`), &empty))
	x, err := api.PodSpec(full)
	require.NoError(t, err)
	y, err := api.PodSpec(empty)
	require.NoError(t, err)
	assert.Equal(t, x, y)
}

// Every fault is told at once, with its path on the wire.
func TestPodSpecTellsEveryFault(t *testing.T) {
	_, err := api.PodSpec(wire.Pod{
		Name: "A", Security: "none",
		Workload: wire.Workload{Image: "x", Ports: map[string]int{"http": 0}, Probe: wire.Probe{TCP: true, None: true}},
		Fronts:   []wire.Front{{Listen: "nowhere", Retries: new(-2)}},
	})
	var f cms.Faults
	require.ErrorAs(t, err, &f)
	var paths []string
	for _, x := range f {
		paths = append(paths, x.Path)
	}
	assert.ElementsMatch(t, []string{"name", "security", "workload.ports.http", "workload.probe", "fronts[0].listen", "fronts[0].retries", "fronts[0].name"}, paths)
}

func TestThresholds(t *testing.T) {
	policies := elastic.NewRegistry()
	for _, c := range []struct{ policy, lower, upper, want string }{
		{`{"kind":"threshold","lower":0.3,"upper":0.7,"step":2}`, "0.2", "", `{"kind":"threshold","lower":0.2,"upper":0.7,"step":2}`},
		{`{"kind":"threshold","lower":0.3,"upper":0.7}`, "0.1", "0.9", `{"kind":"threshold","lower":0.1,"upper":0.9}`},
		{``, "", "0.8", `{"kind":"threshold","lower":0.3,"upper":0.8}`},
		{`{"kind":"cooldown","down":"1m","policy":{"kind":"threshold","lower":0.3,"upper":0.7}}`, "0.2", "", `{"kind":"cooldown","down":"1m","policy":{"kind":"threshold","lower":0.2,"upper":0.7}}`},
		{`{"kind":"target","metric":"cpu","value":0.5}`, "0.2", "", `{"kind":"threshold","lower":0.2,"upper":0.7}`},
	} {
		e := wire.Elasticity{Enabled: true, Policy: wire.Policy(c.policy), LowerThreshold: parse(c.lower), UpperThreshold: parse(c.upper)}
		out, err := api.ElasticitySpec(e, 10, policies)
		require.NoError(t, err, c.policy)
		assert.JSONEq(t, c.want, string(out.PolicyJSON))
		assert.Equal(t, cms.Elasticity{Enabled: true, Min: 1, Max: 10, Mode: cms.ModeAct, PolicyJSON: out.PolicyJSON}, out)
	}
	_, err := api.ElasticitySpec(wire.Elasticity{LowerThreshold: parse("0.69")}, 10, policies)
	require.Error(t, err)
}

func parse(s string) *float64 {
	var x *float64
	if s != "" {
		_ = json.Unmarshal([]byte(s), &x)
	}
	return x
}

func TestPatchElasticity(t *testing.T) {
	f := newFake()
	a := newAPI(t, f)
	patch := func(body string) wire.Elasticity {
		t.Helper()
		r := call(t, a, "PATCH", "/v1/pods/web/elasticity", body)
		require.Equal(t, 200, r.StatusCode)
		return read[wire.Elasticity](t, r)
	}
	e := patch(`{"enabled":true,"max":6}`)
	assert.Equal(t, wire.Count(6), e.Max)
	e = patch(`{"policy":{"upper":0.9}}`)
	assert.JSONEq(t, `{"kind":"threshold","lower":0.3,"upper":0.9}`, e.Policy.String(), "a policy is merged")
	e = patch(`{"policy":{"kind":"target","metric":"cpu","value":0.5}}`)
	assert.JSONEq(t, `{"kind":"target","metric":"cpu","value":0.5}`, e.Policy.String(), "one of another kind is not")
	e = patch(`{"lower_threshold":0.1}`)
	assert.JSONEq(t, `{"kind":"threshold","lower":0.1,"upper":0.7}`, e.Policy.String())
	e = patch(`{"max":null,"policy":null}`)
	assert.Equal(t, wire.Count(15), e.Max, "null is the default")
	assert.True(t, e.Enabled)
	r := call(t, a, "DELETE", "/v1/pods/web/elasticity", nil)
	require.Equal(t, 200, r.StatusCode)
	assert.False(t, read[wire.Elasticity](t, r).Enabled)
}

// The examples of RFC 7396, appendix A.
func TestMergePatch(t *testing.T) {
	for _, c := range [][3]string{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`["a","b"]`, `["c","d"]`, `["c","d"]`},
		{`{"a":"b"}`, `["c"]`, `["c"]`},
		{`{"a":"foo"}`, `null`, `null`},
		{`{"a":"foo"}`, `"bar"`, `"bar"`},
		{`{"e":null}`, `{"a":1}`, `{"e":null,"a":1}`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
	} {
		var target, patch any
		require.NoError(t, json.Unmarshal([]byte(c[0]), &target))
		require.NoError(t, json.Unmarshal([]byte(c[1]), &patch))
		got, err := json.Marshal(api.MergePatch(target, patch))
		require.NoError(t, err)
		assert.JSONEq(t, c[2], string(got), c)
	}
}

// A check path that follows from the probe goes on following it.
func TestCheckPathFollowsTheProbe(t *testing.T) {
	f := newFake()
	a := newAPI(t, f)
	require.Equal(t, "/healthz", f.pods["web"].Spec.Fronts[0].CheckPath)
	require.Equal(t, 202, call(t, a, "PATCH", "/v1/pods/web", `{"workload":{"probe":{"http":"/up"}}}`).StatusCode)
	assert.Equal(t, "/up", f.pods["web"].Spec.Fronts[0].CheckPath)
	require.Equal(t, 202, call(t, a, "PATCH", "/v1/pods/web", `{"workload":{"probe":{"tcp":true}}}`).StatusCode)
	assert.Equal(t, pod.ProbeTCP, f.pods["web"].Spec.Workload.Probe.Kind)
}

func TestReadAndWriteBackOverHTTP(t *testing.T) {
	f := newFake()
	a := newAPI(t, f)
	before := f.pods["web"].Spec.Clone()
	for _, path := range []string{"/v1/pods/web", "/v1/pods/web/elasticity"} {
		var whole json.RawMessage
		require.NoError(t, json.NewDecoder(call(t, a, "GET", path, nil).Body).Decode(&whole))
		for _, method := range []string{"PUT", "PATCH"} {
			r := call(t, a, method, path, string(whole))
			assert.Less(t, r.StatusCode, 300, "%s %s", method, path)
		}
	}
	assert.Equal(t, before, f.pods["web"].Spec)
	var host json.RawMessage
	require.NoError(t, json.NewDecoder(call(t, a, "GET", "/v1/hosts/local", nil).Body).Decode(&host))
	assert.Equal(t, 200, call(t, a, "PATCH", "/v1/hosts/local", string(host)).StatusCode)
}
