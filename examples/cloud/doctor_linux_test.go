package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/internal/dockertest"
)

// What the flags of a real engine mean for nodes is found out from it.
func TestDoctorKnowsAnEnginesFlags(t *testing.T) {
	e := dockertest.Start(t, dockertest.Options{Remote: true, Flags: []string{"--live-restore", "--userland-proxy=false"}})
	d := &diagnosis{}
	examineMachine(t.Context(), d, machineOptions{engines: []string{e.Socket}, haproxy: "haproxy", server: "http://127.0.0.1:1"})
	texts := map[string]string{}
	for _, f := range d.Findings {
		texts[f.About] += f.State + " " + f.Text + "\n"
	}
	assert.Contains(t, texts["engine restart"], "ok live-restore is on and userland-proxy off")
	assert.Contains(t, texts["engine"], "ok Docker ")
	assert.Contains(t, texts["engine"], e.DataRoot())
	assert.Contains(t, texts["HAProxy"], "with THREAD")
	assert.Contains(t, texts["machine"], "full")
	assert.Contains(t, texts, "file limit")
	assert.Zero(t, d.Wrong, "%v", d.Findings)

	on, known := userlandProxy(os.Getpid()) // not an engine
	assert.True(t, on)
	assert.False(t, known)
}

func TestDoctorSaysWhatRestartsMean(t *testing.T) {
	for _, x := range []struct {
		live, proxy, known bool
		state, text        string
	}{
		{false, true, true, "warning", "every node on it stops"},
		{true, true, true, "warning", "dead until the engine is back"},
		{true, true, false, "warning", "cannot be seen"},
		{true, false, true, "ok", "nodes live on and answer"},
	} {
		d := &diagnosis{}
		examineRestarts(d, x.live, x.proxy, x.known)
		require.Len(t, d.Findings, 1)
		assert.Equal(t, x.state, d.Findings[0].State)
		assert.Contains(t, d.Findings[0].Text, x.text)
		assert.Equal(t, x.state == "warning", strings.Contains(d.Findings[0].Remedy, "daemon.json"))
	}
}
