package api_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/api"
	"github.com/elastipod/elastipod/cms/wire"
)

func TestWhoAmI(t *testing.T) {
	who := func(a *api.API, secret string) (w wire.WhoAmI) {
		t.Helper()
		var headers []string
		if secret != "" {
			headers = []string{"Authorization", "Bearer " + secret}
		}
		r := call(t, a, "GET", "/v1/whoami", nil, headers...)
		require.Equal(t, 200, r.StatusCode)
		require.NoError(t, json.NewDecoder(r.Body).Decode(&w))
		return w
	}
	open := newAPI(t, newFake())
	assert.Equal(t, wire.WhoAmI{Role: "operator"}, who(open, ""), "everybody may do everything")
	assert.Equal(t, wire.WhoAmI{Role: "operator"}, who(open, "any-secret-at-all-0"))

	guarded := newAPI(t, newFake(), withTokens)
	for secret, want := range map[string]wire.WhoAmI{
		viewer:   {Name: "v", Role: "viewer", SignIn: true},
		client:   {Name: "c", Role: "client", SignIn: true},
		operator: {Name: "o", Role: "operator", SignIn: true},
	} {
		assert.Equal(t, want, who(guarded, secret))
	}
	for _, secret := range []string{"", "wrong-secret-0000000"} {
		assert.Equal(t, 401, call(t, guarded, "GET", "/v1/whoami", nil, "Authorization", "Bearer "+secret).StatusCode)
	}
}
