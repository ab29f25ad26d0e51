package cmstest_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/elastipod/elastipod/cms/cmstest"
	"github.com/elastipod/elastipod/cms/state"
)

// A test can make saving fail, and see that nothing was changed.
func ExampleStore_OnSave() {
	store := cmstest.NewStore()
	store.OnSave(func(context.Context, state.Change) error { return errors.New("disk full") })
	fmt.Println(store.Save(context.Background(), state.Change{EventID: 7}))
	fmt.Println(store.State().EventID)
	// Output:
	// save to memory: disk full
	// 0
}
