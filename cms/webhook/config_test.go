package webhook_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/api"
	"github.com/elastipod/elastipod/cms/webhook"
)

func TestTargetsAreChecked(t *testing.T) {
	require.NoError(t, at("a").Validate())
	for name, c := range map[string]struct {
		change func(*webhook.Target)
		want   string // "" where it is good
	}{
		"no name":             {func(w *webhook.Target) { w.Name = "" }, "name: "},
		"name with blanks":    {func(w *webhook.Target) { w.Name = "a b" }, "name: "},
		"no URL":              {func(w *webhook.Target) { w.URL = "" }, "url: "},
		"another scheme":      {func(w *webhook.Target) { w.URL = "ftp://h/" }, "url: "},
		"no host":             {func(w *webhook.Target) { w.URL = "https:///x" }, "url: "},
		"broken URL":          {func(w *webhook.Target) { w.URL = "https://s3cret:%%%/" }, "url: "},
		"password":            {func(w *webhook.Target) { w.URL = "https://me:s3cret@h/" }, "url: holds a user or a password"},
		"fragment":            {func(w *webhook.Target) { w.URL = "https://h/#s3cret" }, "url: "},
		"no TLS":              {func(w *webhook.Target) { w.URL = "http://h/s3cret" }, "url: is sent without TLS"},
		"no TLS, accepted":    {func(w *webhook.Target) { w.URL, w.Insecure = "http://h/", true }, ""},
		"no TLS, localhost":   {func(w *webhook.Target) { w.URL = "http://localhost:1/" }, ""},
		"no TLS, loopback":    {func(w *webhook.Target) { w.URL = "http://[::1]:1/" }, ""},
		"no TLS, a lie":       {func(w *webhook.Target) { w.URL = "http://127.0.0.1.example.com/" }, "url: "},
		"no secret":           {func(w *webhook.Target) { w.Secrets = nil }, "secrets: 0 are set"},
		"two secrets":         {func(w *webhook.Target) { w.Secrets = []string{secretA, secretB} }, ""},
		"three secrets":       {func(w *webhook.Target) { w.Secrets = []string{secretA, secretB, secretA} }, "secrets: 3 are set"},
		"the same secret":     {func(w *webhook.Target) { w.Secrets = []string{secretA, secretA} }, "secrets[1]: "},
		"secret without name": {func(w *webhook.Target) { w.Secrets = []string{secretA[6:]} }, "secrets[0]: "},
		"short secret":        {func(w *webhook.Target) { w.Secrets = []string{"whsec_c2VjcmV0"} }, "secrets[0]: "},
		"long secret":         {func(w *webhook.Target) { w.Secrets = []string{"whsec_" + strings.Repeat("QUFB", 30)} }, "secrets[0]: "},
		"secret, no base64":   {func(w *webhook.Target) { w.Secrets = []string{"whsec_s3cret!"} }, "secrets[0]: "},
		"families": {func(w *webhook.Target) {
			w.Types = []string{"pod", "node.*", "rollout.*", "rollout", "rollout.paused", "host"}
		}, ""},
		"unknown type":   {func(w *webhook.Target) { w.Types = []string{"pod", "pod.scalled"} }, "types[1]: "},
		"unknown family": {func(w *webhook.Target) { w.Types = []string{"pods.*"} }, "types[0]: "},
		"ticks":          {func(w *webhook.Target) { w.Types = []string{"tick"} }, "types[0]: ticks are not sent"},
		"bad pod":        {func(w *webhook.Target) { w.Pods = []string{"A B"} }, "pods[0]: "},
		"timeout":        {func(w *webhook.Target) { w.Timeout = 2 * time.Minute }, "timeout: "},
		"give up":        {func(w *webhook.Target) { w.GiveUp = -1 }, "give_up: "},
		"queue":          {func(w *webhook.Target) { w.Queue = 1_000_000 }, "queue: "},
	} {
		w := at("a")
		c.change(&w)
		err := w.Validate()
		if c.want == "" {
			assert.NoError(t, err, name)
			continue
		}
		require.ErrorContains(t, err, c.want, name)
		assert.NotContains(t, err.Error(), "s3cret", name)
		_, err = webhook.New(webhook.Config{Manager: newHub(), Targets: []webhook.Target{at("z"), w}})
		require.ErrorContains(t, err, "Targets[1]."+strings.TrimSuffix(strings.Fields(c.want)[0], ":"), name)
		var faults cms.Faults
		assert.ErrorAs(t, err, &faults, name)
	}
	_, err := webhook.New(webhook.Config{Targets: []webhook.Target{at("a"), at("a")}, Flush: -1})
	for _, part := range []string{"Manager", "Flush", `Targets[1].name: "a" is used twice`} {
		assert.ErrorContains(t, err, part)
	}
	_, err = webhook.New(webhook.Config{Manager: newHub(), Targets: make([]webhook.Target, 100)})
	assert.ErrorContains(t, err, "100 are too many")
}

func TestTargetsShowNoSecret(t *testing.T) {
	w := at("chat")
	shown := fmt.Sprintf("%v %+v %#v %s %v", w, w, w, w, w.LogValue())
	assert.Contains(t, shown, "chat (https://chat)")
	assert.NotContains(t, shown, "s3cret")
	assert.NotContains(t, shown, "whsec_")
}

// Every type of events that there is can be asked for, alone, by its family and
// by "*".
func TestFilter(t *testing.T) {
	for _, name := range api.EventTypeNames() {
		e := cms.Event{Type: cms.EventType(name), Pod: "web"}
		if name == "tick" {
			assert.False(t, webhook.Target{Types: []string{"*"}}.Wants(e))
			continue
		}
		family, _, _ := strings.Cut(name, ".")
		for _, types := range []string{name, family, family + ".*", "*"} {
			if types == "reset.*" {
				continue
			}
			w := at("a")
			w.Types = []string{types}
			require.NoError(t, w.Validate(), types)
			assert.True(t, w.Wants(e), "%s by %s", name, types)
		}
		w := at("a")
		w.Types = []string{map[bool]string{true: "host", false: "pod"}[family != "host"]}
		assert.Equal(t, w.Types[0] == family || name == "reset", w.Wants(e), "%s by %s", name, w.Types[0])
	}
	rollout := cms.Event{Type: "rollout.paused", Pod: "web"}
	for types, want := range map[string]bool{"rollout": true, "rollout.*": true, "rollout.paused": true, "rollout.done": false, "*": true, "pod": false} {
		assert.Equal(t, want, webhook.Target{Types: []string{types}}.Wants(rollout), types)
	}
	byDefault := webhook.Target{}
	for name, want := range map[cms.EventType]bool{
		cms.EventScaled: true, cms.EventProblem: true, cms.EventNodeFailed: true, cms.EventNodeCut: true, cms.EventHostUnreachable: true, cms.EventHostReachable: true,
		cms.EventStoreFailed: true, cms.EventStoreRecovered: true, cms.EventBalancerIncident: true, "rollout.failed": true, cms.EventReset: true, cms.EventNodeOnline: false, cms.EventPodUpdated: false,
	} {
		assert.Equal(t, want, byDefault.Wants(cms.Event{Type: name}), name)
	}
	one := webhook.Target{Types: []string{"*"}, Pods: []string{"web"}}
	assert.True(t, one.Wants(cms.Event{Type: cms.EventScaled, Pod: "web"}))
	assert.False(t, one.Wants(cms.Event{Type: cms.EventScaled, Pod: "api"}))
	assert.False(t, one.Wants(cms.Event{Type: cms.EventHostAdded, Host: "a"}))
	assert.True(t, one.Wants(cms.Event{Type: cms.EventReset}))
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 5, 10, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "0": 0, "30": 30 * time.Second, "-1": 0, "1.5": 0, "soon": 0, "99999999999999999999": 0,
		"Thu, 05 Nov 2026 10:01:00 GMT": time.Minute, "Thu, 05 Nov 2026 09:00:00 GMT": 0,
	} {
		assert.Equal(t, want, webhook.RetryAfter(text, now), text)
	}
}
