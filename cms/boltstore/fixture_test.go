package boltstore_test

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/boltstore"
	"github.com/elastipod/elastipod/pod"
)

// The fixtures are stores as released programs wrote them; they are never
// written anew once released. Each version that this program reads has one.
const (
	fixture1  = "testdata/v1.db"
	fixtureID = "FIXTUREFIXTUREFIXTUREFIXTU"
)

// copyOf returns the path of a store that may be changed.
func copyOf(t *testing.T, fixture string) string {
	data, err := os.ReadFile(fixture)
	require.NoError(t, err)
	path := file(t.TempDir())
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return path
}

func TestReadsWhatVersion1Wrote(t *testing.T) {
	want := fixtureState()
	path := copyOf(t, fixture1)
	s, err := boltstore.Open(path)
	require.NoError(t, err)
	defer s.Close()
	got, err := s.Load(t.Context())
	require.NoError(t, err)
	for i := range want.Pods { // a later version remembers what a pod ran, under the name that its nodes have
		p := &want.Pods[i]
		p.Revisions = []cms.RevisionRecord{{
			ID: []string{"1bd940f4", "0d68892a"}[i], Number: 1, At: p.CreatedAt, Workload: p.Spec.Workload, Limits: p.Spec.Limits, Reason: "created",
		}}
	}
	assert.Equal(t, want, got)

	// It can be changed, and what wasn't is still there.
	want.Pods[0].Want = 2
	require.NoError(t, s.Save(t.Context(), cms.Change{PutPods: want.Pods[:1], EventID: 1000}))
	want.EventID = 1000
	got, err = s.Load(t.Context())
	require.NoError(t, err)
	assert.Equal(t, want, got)

	// The store as it was is there for the older program.
	assert.Equal(t, dump(t, fixture1), dump(t, path+".v1"))
	info, err := os.Stat(path + ".v1")
	require.NoError(t, err)
	assert.EqualValues(t, 0o600, info.Mode().Perm())
}

// dump returns all keys and values of a store.
func dump(t *testing.T, path string) map[string]string {
	out := map[string]string{}
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second})
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			return b.ForEach(func(k, v []byte) error {
				out[string(name)+"/"+string(k)] = string(v)
				return nil
			})
		})
	}))
	return out
}

func fixtureState() cms.State {
	at := time.Date(2026, 11, 23, 18, 30, 0, 123456789, time.UTC)
	return cms.State{
		ClusterID: fixtureID,
		EventID:   512,
		Hosts: []cms.HostRecord{
			{Host: pod.Host{
				Name: "far", Runtime: "docker", Address: "tcp://10.0.0.5:2376",
				TLS:      pod.HostTLS{CA: "/etc/elastipod/ca.pem", Cert: "/etc/elastipod/cert.pem", Key: "/etc/elastipod/key.pem"},
				Capacity: pod.Resources{CPU: 4, Memory: 8 << 30}, CPUOvercommit: 8, AddressMode: pod.AddressPublished,
				Bind: "10.0.0.5", Advertise: "10.0.0.5", Cordoned: true, Labels: map[string]string{"zone": "a"},
				Registries: map[string]pod.RegistryAuth{"registry.example.com": {Username: "u", PasswordEnv: "REGISTRY_PASSWORD"}},
			}, Draining: true},
			{Host: pod.Host{Name: "local", Runtime: "process"}},
		},
		Pods: []cms.PodRecord{
			{Spec: cms.PodSpec{Spec: pod.Spec{Name: "bare", Workload: pod.Workload{Command: []string{"sleep", "1"}}}}, CreatedAt: at},
			{
				Spec: cms.PodSpec{
					Spec: pod.Spec{
						Name: "web", Kind: pod.KindService, MaxNodes: 15, Hosts: []string{"far", "local"},
						Drain: 30 * time.Second, Grace: 10 * time.Second,
						Limits: pod.Limits{CPU: 0.5, Memory: 300 << 20, PIDs: 1024},
						Workload: pod.Workload{
							Image: "nginx:1.27", Pull: pod.PullMissing, Entrypoint: []string{"/run"}, Command: []string{"-x", "a b"},
							Env: map[string]string{"A": "1", "B": "<2>"}, Ports: map[string]int{"http": 8080, "admin": 9090},
							Probe:  pod.Probe{Kind: pod.ProbeHTTP, Path: "/healthz", Port: "http", Interval: time.Second, Timeout: time.Second, StartDeadline: time.Minute},
							Mounts: []pod.Mount{{Kind: pod.MountBind, Source: "/srv", Target: "/data", ReadOnly: true}, {Kind: pod.MountTmpfs, Target: "/tmp", Size: 1 << 20}},
							Secrets: []pod.Secret{
								{Name: "key", FromFile: "/etc/elastipod/key", Target: "/run/secrets/key"},
							},
							User: "1000:1000", Networks: []string{"back"}, ExtraHosts: map[string]string{"db": "10.0.0.9"},
							CapAdd: []string{"NET_BIND_SERVICE"}, Security: pod.SecurityStrict,
						},
					},
					Fronts: []cms.Front{{
						Front: balancer.Front{
							Name: "web", Listen: "127.0.0.1:5100", Algorithm: balancer.LeastConn, MaxConn: 100,
							Timeouts: balancer.Timeouts{Connect: 200 * time.Millisecond, Client: time.Minute, Server: time.Minute, Queue: 30 * time.Second},
							Retries:  3, RetryNonIdempotent: true, CheckPath: "/healthz",
						},
						Port: "http",
					}},
				},
				Elasticity: cms.Elasticity{Enabled: true, Min: 1, Max: 6, Mode: cms.ModeAct, Policy: json.RawMessage(`{"kind":"threshold","lower":0.3,"upper":0.7}`)},
				CreatedAt:  at, Want: 3, Paused: true, Deleting: true, Serial: 17, PolicyMemory: []byte{0, 1, 2, 255},
				Nodes: []cms.NodeRecord{
					{Name: "web-15", State: pod.StateNew, CreatedAt: at},
					{
						Name: "web-16", State: pod.StateOnline, Host: "far", Revision: "1a2b-3c4d", Endpoints: map[string]string{"http": "10.0.0.5:32768"},
						Handle: "0123456789ab", CreatedAt: at, StartedAt: at.Add(time.Second), ReadyAt: at.Add(2 * time.Second),
					},
					{Name: "web-17", State: pod.StateDraining, Host: "local", CreatedAt: at, DrainBy: at.Add(time.Minute), Reason: "scaled down"},
				},
			},
		},
	}
}
