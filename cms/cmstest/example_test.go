package cmstest_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/cmstest"
)

// A test can make saving fail, and see that nothing was changed.
func ExampleStore_OnSave() {
	store := cmstest.NewStore()
	store.OnSave(func(context.Context, cms.Change) error { return errors.New("disk full") })
	fmt.Println(store.Save(context.Background(), cms.Change{EventID: 7}))
	fmt.Println(store.State().EventID)
	// Output:
	// save to memory: disk full
	// 0
}
