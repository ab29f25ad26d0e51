//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/internal/crashpoint"
)

// Where one of the calls that clean up at the start does nothing, what a killed
// manager left must be found out by the very check that the kills rely on; where
// all do what they should, nothing is found.
func TestFaultManagerKilledIsFoundOut(t *testing.T) {
	for _, s := range []func(*testing.T) *stack{embedded, onDocker} {
		st := s(t)
		t.Run(st.name, func(t *testing.T) {
			k := newKilling(t, st, &fault{t: t, name: "clean-up at start left out"}) // no row of the table
			k.run()
			k.populate(0.3)
			for _, c := range []struct {
				cleanUp string
				expect  string
				leave   func() sent
			}{
				// A store from before knows less than there is.
				{crashpoint.StopOrphan, map[bool]string{true: "directories of nodes", false: "containers"}[st.engine == nil], func() sent {
					k.signal(syscall.SIGKILL)
					kept := filepath.Join(k.dir, "kept.db")
					k.copyStore(k.storeFile(), kept)
					k.run()
					more := k.scale(3)
					require.NoError(t, more.do(t.Context(), k.api))
					require.Empty(t, k.settle(more.after))
					k.inject(func() { k.signal(syscall.SIGKILL) })
					k.copyStore(kept, k.storeFile())
					return sent{command: command{name: "go back", after: k.model}, before: k.model}
				}},
				{crashpoint.RemoveFront, "fronts: expected", func() sent { return k.dieAt(moment{"store-save/before", 1}, k.create()) }},
			} {
				if c.cleanUp == crashpoint.RemoveFront && st.engine == nil {
					continue // the built-in balancer has ended with its fronts
				}
				require.NoError(t, k.control.LeaveOut(c.cleanUp))
				s := c.leave()
				died := time.Now()
				k.run()
				got := k.settings()
				wrong := strings.Join(k.settleWithin(got, 2*time.Second), "\n")
				require.NotEmpty(t, wrong, "%s did nothing, and the check did not see it", c.cleanUp)
				t.Logf("without %s, as it should be, the check says:\n%s", c.cleanUp, wrong)
				assert.Contains(t, wrong, c.expect)
				require.NoError(t, k.control.LeaveOut())
				k.signal(syscall.SIGKILL)
				k.check(died, s, nil)
			}
		})
	}
}

func (k *killing) storeFile() string { return filepath.Join(k.dir, "data", "elastipod.db") }

func (k *killing) copyStore(from, to string) {
	text, err := os.ReadFile(from)
	require.NoError(k.t, err)
	require.NoError(k.t, os.WriteFile(to, text, 0o600))
}
