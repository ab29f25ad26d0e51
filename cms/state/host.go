package state

import "github.com/elastipod/elastipod/pod"

// Host is what a store keeps of a host.
type Host struct {
	Host     pod.Host // as it was added
	Draining bool     `json:",omitempty"` // it is being removed
	// Images are those that the cluster's runtimes fetched to it, and that may
	// still be there.
	Images []pod.Image `json:",omitempty"`
}
