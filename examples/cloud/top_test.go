package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/wire"
)

func manyPods(n int) topState {
	s := topState{Cluster: wire.Cluster{Name: "c", Version: "v1"}, Hosts: []wire.Host{{Name: "local"}}}
	for i := range n {
		cpu := float64(i%7) / 10
		s.Pods = append(s.Pods, wire.Pod{Name: fmt.Sprintf("pod-%03d", i), Status: &wire.PodStatus{
			State: "active", Nodes: wire.NodeCounts{Online: i % 5}, Sample: &wire.Sample{CPU: &cpu},
		}})
	}
	return s
}

func topOf(s topState) *topModel {
	m := newTopModel(&app{out: screen{Writer: io.Discard}, now: time.Now}, s, 0, false, "")
	m.Update(tea.WindowSizeMsg{Width: 100, Height: 20})
	return m
}

func press(m *topModel, keys ...string) {
	for _, k := range keys {
		key := tea.Key{Text: k}
		switch k {
		case "down":
			key = tea.Key{Code: tea.KeyDown}
		case "up":
			key = tea.Key{Code: tea.KeyUp}
		case "enter":
			key = tea.Key{Code: tea.KeyEnter}
		case "esc":
			key = tea.Key{Code: tea.KeyEscape}
		case "backspace":
			key = tea.Key{Code: tea.KeyBackspace}
		default:
			key.Code = rune(k[0])
		}
		m.Update(tea.KeyPressMsg(key))
	}
}

func TestTopFitsTheScreen(t *testing.T) {
	for _, size := range [][2]int{{100, 20}, {40, 8}, {200, 60}, {1, 1}, {20, 3}} {
		m := topOf(manyPods(100))
		m.Update(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		for range 60 {
			press(m, "down")
			lines := m.lines()
			assert.LessOrEqual(t, len(lines), max(size[1], 4), "%v", size)
			if size[1] > 5 {
				assert.Contains(t, strings.Join(lines, "\n"), "pod-0", "%v", size)
			}
		}
		assert.Equal(t, "pod-060", m.chosen)
	}
}

func TestTopSortsAndFilters(t *testing.T) {
	m := topOf(manyPods(20))
	assert.Equal(t, "pod-000", m.shown()[0].Name)
	press(m, "S")
	assert.Equal(t, "pod-019", m.shown()[0].Name)
	press(m, "S", "s", "s") // by nodes, the most first
	assert.Equal(t, "pod-004", m.shown()[0].Name)
	press(m, "s") // by CPU
	assert.Equal(t, "pod-006", m.shown()[0].Name)
	press(m, "/", "0", "0", "7", "8", "backspace")
	require.Len(t, m.shown(), 1)
	assert.Contains(t, strings.Join(m.lines(), "\n"), "filter: 007█")
	press(m, "enter", "down")
	assert.Equal(t, "pod-007", m.chosen)
	press(m, "esc")
	assert.Len(t, m.shown(), 20)
	press(m, "/", "z", "z")
	assert.Contains(t, strings.Join(m.lines(), "\n"), `No pod's name contains "zz".`)
	press(m, "esc", "p")
	assert.Equal(t, topConfirm, m.mode)
}

func TestTopSaysWhatGoesWrong(t *testing.T) {
	m := topOf(manyPods(2))
	m.Update(failedMsg{errors.New("no\nsuch node")})
	assert.Contains(t, m.foot(), "no such node")
	m.state.Cluster.Problems = []wire.Problem{{Pod: "web", Text: "no room"}, {Text: "host a: down"}, {Text: "c"}, {Text: "d"}, {Text: "e"}}
	m.Update(brokenMsg{errors.New("refused")})
	text := strings.Join(m.lines(), "\n")
	assert.Contains(t, text, "! pod web: no room")
	assert.Contains(t, text, "! host a: down")
	assert.Contains(t, text, "! and 2 more")
	assert.Contains(t, text, "disconnected, last seen 0s ago; trying again")
	m.Update(eventMsg{Type: wire.EventTick, Pod: "pod-001", Tick: &wire.Tick{Want: 9, Reason: "because"}})
	text = strings.Join(m.lines(), "\n")
	assert.Contains(t, text, "live")
	assert.Contains(t, text, "because")
	m.Update(stateMsg{topState{}})
	assert.Contains(t, strings.Join(m.lines(), "\n"), "No pods yet.")
	press(m, "enter", "p", "down") // there is nothing to steer
	assert.Equal(t, topList, m.mode)
}

func TestSparkline(t *testing.T) {
	assert.Equal(t, "▁▅█", sparkline([]float64{0, 5, 10}))
	assert.Equal(t, "▁", sparkline([]float64{-1}))
	assert.Empty(t, sparkline(nil))
}
