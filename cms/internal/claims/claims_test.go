package claims

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
)

func front(name, listen string) balancer.Front { return balancer.Front{Name: name, Listen: listen} }

func TestNamesAndAddressesHaveOneOwner(t *testing.T) {
	for name, c := range map[string]struct {
		pod  string
		want balancer.Front
		why  string
	}{
		"free":                           {"q", front("other", ":2"), ""},
		"another pod has the name":       {"q", front("web", ":2"), `pod p has a front named "web" already; choose another name`},
		"another pod has the address":    {"q", front("other", ":1"), "pod p has a front on :1 already; choose another address"},
		"its own":                        {"p", front("web", ":1"), ""},
		"its own, at another address":    {"p", front("web", ":2"), ""},
		"another one on its own address": {"p", front("other", ":1"), "front web of pod p listens on :1 until the change is done; give front other another address, or remove web in a change of its own first"},
		"without an address":             {"q", front("other", ""), ""},
	} {
		t.Run(name, func(t *testing.T) {
			table := New()
			table.Set("p", []balancer.Front{front("web", ":1"), front("empty", "")})
			release, err := table.Want(c.pod, []balancer.Front{front("first", ":9"), c.want})
			if c.why == "" {
				require.NoError(t, err)
				assert.Empty(t, table.Unclaimed([]string{"first"}))
				release()
				assert.NotEmpty(t, table.Unclaimed([]string{"first"}))
				return
			}
			assert.EqualError(t, err, c.why)
			assert.NotEmpty(t, table.Unclaimed([]string{"first"}), "all or none")
		})
	}
}

// What a command is about to set is claimed as well, until it is released; then
// what the pod's loop holds counts.
func TestCommandsClaimBeforeTheLoopDoes(t *testing.T) {
	table := New()
	first, err := table.Want("p", []balancer.Front{front("web", ":1")})
	require.NoError(t, err)
	second, err := table.Want("p", []balancer.Front{front("web", ":2")})
	require.NoError(t, err)
	_, err = table.Want("q", []balancer.Front{front("other", ":1")})
	require.Error(t, err)
	_, err = table.Want("q", []balancer.Front{front("other", ":2")})
	require.Error(t, err)
	first()
	third, err := table.Want("q", []balancer.Front{front("other", ":1")})
	require.NoError(t, err)
	table.Set("p", []balancer.Front{front("web", ":2")})
	second()
	assert.Empty(t, table.Unclaimed([]string{"web"}), "its loop holds it")
	table.Set("p", nil)
	assert.NotEmpty(t, table.Unclaimed([]string{"web"}))
	third()
	assert.Empty(t, table.pods, "nothing is kept of pods that have nothing")
	third() // twice is no harm
}

// What is set beside what a pod holds is claimed as well, until its loop says what it
// holds then.
func TestAdd(t *testing.T) {
	table := New()
	table.Set("p", []balancer.Front{front("web", ":1")})
	table.Add("p", []balancer.Front{front("web", ":1"), front("new", ":2")})
	assert.Empty(t, table.Unclaimed([]string{"web", "new"}))
	table.Set("p", []balancer.Front{front("new", ":2")})
	assert.Equal(t, []string{"web"}, table.Unclaimed([]string{"web", "new"}))
	table.Add("q", nil)
	assert.Len(t, table.pods, 1)
	_, err := table.Want("", []balancer.Front{front("web", "")})
	require.NoError(t, err)
	_, err = table.Want("q", []balancer.Front{front("web", ":3")})
	assert.EqualError(t, err, `a front named "web", which no pod has any more, is being removed; try again in a moment`)
}

// A release does not take away what another command of the same pod claimed in
// the meantime.
func TestReleaseLeavesTheOthers(t *testing.T) {
	table := New()
	first, err := table.Want("p", []balancer.Front{front("a", ":1")})
	require.NoError(t, err)
	first()
	second, err := table.Want("p", []balancer.Front{front("b", ":2")})
	require.NoError(t, err)
	first()
	assert.Empty(t, table.Unclaimed([]string{"b"}))
	second()
	assert.NotEmpty(t, table.Unclaimed([]string{"b"}))
}
