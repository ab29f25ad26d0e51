package api_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/api"
	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/elastic"
)

// A pod that is accepted is the same once shown and written back.
func FuzzPodSpec(f *testing.F) {
	for _, s := range []string{
		`{"name":"web","workload":{"image":"nginx:1.27","ports":{"http":8080},"env":{"A":"b"},"probe":{"http":"/healthz"}},"fronts":[{"listen":"127.0.0.1:5100"}]}`,
		`{"name":"a","workload":{"command":["x"]},"limits":{"cpu":0.5,"memory":"64MiB"},"update":{"strategy":"canary","steps":[{"weight":10,"pause":"1s"}]}}`,
		`{"name":"a","workload":{"image":"x","mounts":[{"type":"tmpfs","target":"/t","size":1}],"secrets":[{"name":"k","env":"K"}]},"drain":"1h"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		object, err := api.ParseObject(data)
		if err == nil {
			assert.NotNil(t, object)
		}
		var p wire.Pod
		if json.Unmarshal(data, &p) != nil {
			return
		}
		spec, err := api.PodSpec(p)
		if err != nil {
			return
		}
		full := spec.WithDefaults()
		back, err := api.PodSpec(api.PodSettings(full))
		require.NoError(t, err)
		assert.Equal(t, full, back.WithDefaults())
	})
}

// A policy that is accepted decides within bounds, and is accepted again as it
// was written.
func FuzzPolicy(f *testing.F) {
	r := elastic.NewRegistry()
	for _, s := range []string{
		`{"kind":"threshold","lower":0.3,"upper":0.7}`, `{"kind":"cooldown","down":"60s","policy":{"kind":"threshold","lower":0.3,"upper":0.7}}`, `{"kind":"target"}`, `{"kind":1}`, `[]`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := r.Parse(data); err == nil {
			d := p.Decide(elastic.Observation{Want: 2, Online: 2, Min: 1, Max: 4})
			assert.GreaterOrEqual(t, d.Want, 0)
			_, err := r.Parse(data)
			assert.NoError(t, err)
		}
	})
}
