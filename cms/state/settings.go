package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/elastipod/elastipod/pod"
)

// settingsVersion is the version of what nodes carry. A program that gives a
// field another meaning raises it; one that adds a field need not.
const settingsVersion = 2

// NodeSettings is what each node carries, so that its pod can be rebuilt when
// the store was lost: the pod as it was when the node was started. It holds no
// environment, no arguments and nothing secret; these are read back from the
// node itself.
type NodeSettings struct {
	Version int // of these settings
	// Spec is the pod's, with what the node itself runs.
	Spec PodSpec
	// Former says that the pod had changed to something else than the node runs.
	Former     bool       `json:",omitempty"`
	Elasticity Elasticity // the pod's
	Want       int        // the wanted number of nodes
	Paused     bool       `json:",omitempty"` // the pod's servers were out of the balancer
	CreatedAt  time.Time  // when the pod was created
	Digest     string     `json:",omitempty"` // content of the image
	Hosts      []string   // of the cluster
}

// SettingsOf returns what a node of a revision shall carry, in a cluster of these
// hosts. The error says that this would be too long.
func (p *Pod) SettingsOf(revision uint64, hosts []string) (string, error) {
	spec := p.Spec.Clone()
	spec.Spec = p.SpecOf(revision).Clone()
	w := &spec.Workload
	for name := range w.Env {
		w.Env[name] = ""
	}
	w.Entrypoint = make([]string, len(w.Entrypoint))
	w.Command = make([]string, len(w.Command))
	s := NodeSettings{
		Version: settingsVersion, Spec: spec, Former: revision != p.Revision,
		Elasticity: p.Elasticity, Want: p.Want, Paused: p.Paused, CreatedAt: p.CreatedAt, Hosts: hosts,
	}
	if v := p.RevisionOf(revision); v != nil {
		s.Digest = v.Digest
	}
	text, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	if len(text) > pod.MaxSettings {
		return "", fmt.Errorf("they have %d bytes, %d are the most", len(text), pod.MaxSettings)
	}
	return string(text), nil
}

// ReadSettings returns the settings that a node carries, completed by what its
// host knows of it.
func ReadSettings(n pod.Salvaged) (NodeSettings, error) {
	var s NodeSettings
	if n.Settings == "" {
		return s, errors.New("it carries no settings")
	}
	if err := json.Unmarshal([]byte(n.Settings), &s); err != nil {
		return s, fmt.Errorf("its settings cannot be read: %w", err)
	}
	if s.Version != settingsVersion {
		which := "newer"
		if s.Version < settingsVersion {
			which = "older"
		}
		return s, fmt.Errorf("its settings are of version %d, this program knows version %d; use the %s program", s.Version, settingsVersion, which)
	}
	if s.Spec.Name != n.Node.ID.Pod {
		return s, fmt.Errorf("its settings are those of pod %q", s.Spec.Name)
	}
	w := &s.Spec.Workload
	for _, name := range slices.Sorted(maps.Keys(w.Env)) {
		value, ok := n.Env[name]
		if !ok {
			return s, fmt.Errorf("its variable %s cannot be read back", name)
		}
		w.Env[name] = value
	}
	var err error
	if w.Entrypoint, err = readBack("entrypoint", w.Entrypoint, n.Entrypoint); err != nil {
		return s, err
	}
	if w.Command, err = readBack("command", w.Command, n.Command); err != nil {
		return s, err
	}
	s.Spec = s.Spec.WithDefaults()
	return s, nil
}

// readBack returns arguments as the host knows them, of which the settings have
// the number: none where they were left to the image.
func readBack(what string, kept, known []string) ([]string, error) {
	if len(kept) == 0 {
		return nil, nil
	}
	if len(known) != len(kept) {
		return nil, fmt.Errorf("its %s of %d words cannot be read back: the host knows %d", what, len(kept), len(known))
	}
	return slices.Clone(known), nil
}
