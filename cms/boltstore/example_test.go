package boltstore_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/elastipod/elastipod/cms/boltstore"
	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/pod"
)

// A store keeps what was saved, whoever opens it next.
func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	for range 2 {
		store, err := boltstore.Open(filepath.Join(dir, "elastipod.db"))
		if err != nil {
			panic(err)
		}
		all, err := store.Load(context.Background())
		if err != nil {
			panic(err)
		}
		fmt.Println("pods:", len(all.Pods))
		err = store.Save(context.Background(), state.Change{PutPods: []state.Pod{
			{Spec: state.PodSpec{Spec: pod.Spec{Name: "web"}}},
		}})
		if err != nil {
			panic(err)
		}
		if err := store.Close(); err != nil {
			panic(err)
		}
	}
	// Output:
	// pods: 0
	// pods: 1
}
