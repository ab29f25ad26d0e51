package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/elastipod/elastipod/cms/client"
	"github.com/elastipod/elastipod/cms/wire"
)

// topModel is the screen of top: what is known, and what the person looks at. It
// waits for nothing; what takes time is left to the feed.
type topModel struct {
	a        *app
	requests chan topAction

	state   topState
	history map[string][]float64 // requests in flight, oldest first, by pod
	heard   time.Time            // from the server, last
	broken  error                // since then

	width, height int
	by            int // of topSorts
	reverse       bool
	filter        string
	chosen        string // pod

	mode    topMode
	message string
	bad     bool // the message is of something that failed
	pausing string
	ticks   []wire.Tick // of the chosen pod, in mode why
	scroll  int
}

// topMode is what keys mean now.
type topMode int

const (
	topList topMode = iota
	topFilter
	topConfirm
	topWhy
	topHelp
)

// topHistory is how many measurements a sparkline shows.
const topHistory = 16

func newTopModel(a *app, s topState, by int, reverse bool, filter string) *topModel {
	m := &topModel{a: a, requests: make(chan topAction, 8), history: map[string][]float64{}, by: by, reverse: reverse, filter: filter, width: 80, height: 24}
	m.take(s)
	return m
}

// Init has nothing to begin: the feed does.
func (m *topModel) Init() tea.Cmd { return nil }

// Update takes in what happened.
func (m *topModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.KeyPressMsg:
		return m, m.key(msg)
	case stateMsg:
		m.take(msg.state)
	case eventMsg:
		m.event(wire.Event(msg))
	case brokenMsg:
		m.broken = msg.err
	case doneMsg:
		m.say("%s", msg.text)
	case failedMsg:
		m.message, m.bad = oneLine(failureText(msg.err)), true
	case whyMsg:
		m.ticks = msg.ticks
	}
	return m, nil
}

// failureText is what the server said, in one line.
func failureText(err error) string {
	var e *client.Error
	if errors.As(err, &e) && len(e.Problem.Errors) > 0 {
		return faultText(e.Problem.Errors[0])
	}
	return err.Error()
}

func (m *topModel) say(format string, args ...any) {
	m.message, m.bad = fmt.Sprintf(format, args...), false
}

func (m *topModel) take(s topState) {
	m.state, m.heard, m.broken = s, m.a.now(), nil
	for name := range m.history {
		if !slices.ContainsFunc(s.Pods, func(p wire.Pod) bool { return p.Name == name }) {
			delete(m.history, name)
		}
	}
}

// event takes over what an event says; the feed asks for the rest.
func (m *topModel) event(e wire.Event) {
	m.heard, m.broken = m.a.now(), nil
	if e.Tick == nil {
		return
	}
	for i, p := range m.state.Pods {
		if p.Name != e.Pod || p.Status == nil {
			continue
		}
		s := *p.Status // what was told before is left as it was
		s.Sample, s.Want, s.Reason, s.Nodes = &e.Tick.Sample, e.Tick.Want, e.Tick.Reason, e.Tick.Sample.Nodes
		m.state.Pods[i].Status = &s
	}
	if x := e.Tick.Sample.InFlight; x != nil && e.Type == wire.EventTick {
		m.history[e.Pod] = last(append(m.history[e.Pod], *x), topHistory)
	}
	if m.mode == topWhy && e.Pod == m.chosen {
		m.ask("", func(ctx context.Context, c *client.Client) (tea.Msg, error) { return decisions(ctx, c, e.Pod) })
	}
}

// ask leaves something to the feed.
func (m *topModel) ask(doing string, do topAction) {
	select {
	case m.requests <- do:
		if doing != "" {
			m.say("%s …", doing)
		}
	default: // asked faster than the server answers
	}
}

func (m *topModel) key(k tea.KeyPressMsg) tea.Cmd {
	key := k.String()
	if key == "ctrl+c" {
		return tea.Quit
	}
	switch m.mode {
	case topFilter:
		m.filterKey(key, k.Text)
	case topConfirm:
		m.mode = topList
		if key == "y" {
			m.act(m.pausing, "pausing", "is being paused", (*client.Client).PausePod)
		} else {
			m.say("pod %s is left as it is", m.pausing)
		}
	case topWhy, topHelp:
		switch key {
		case "up", "k":
			m.scroll = max(m.scroll-1, 0)
		case "down", "j":
			m.scroll++
		default:
			m.mode, m.scroll = topList, 0
		}
	default:
		return m.listKey(key)
	}
	return nil
}

func (m *topModel) filterKey(key, text string) {
	switch key {
	case "enter":
		m.mode = topList
	case "esc":
		m.mode, m.filter = topList, ""
	case "backspace":
		r := []rune(m.filter)
		m.filter = string(r[:max(len(r)-1, 0)])
	default:
		m.filter += printable(text)
	}
}

func (m *topModel) listKey(key string) tea.Cmd {
	m.message = ""
	switch key {
	case "q":
		return tea.Quit
	case "up", "k":
		m.move(-1)
	case "down", "j":
		m.move(1)
	case "s":
		m.by = (m.by + 1) % len(topSorts())
	case "S":
		m.reverse = !m.reverse
	case "/":
		m.mode = topFilter
	case "esc":
		m.filter = ""
	case "?":
		m.mode = topHelp
	case "p", "r", "l", "w", "enter":
		if name, ok := m.choose(); ok {
			m.podKey(key, name)
		}
	}
	return nil
}

// podKey does what a key asks for about a pod.
func (m *topModel) podKey(key, name string) {
	switch key {
	case "p": // its requests are answered with 503 from then on
		m.mode, m.pausing = topConfirm, name
	case "r":
		m.act(name, "resuming", "is being resumed", (*client.Client).ResumePod)
	case "l":
		m.ask("launching a node of "+name, func(ctx context.Context, c *client.Client) (tea.Msg, error) {
			n, err := c.LaunchNode(ctx, name, 0)
			return doneMsg{fmt.Sprintf("node %s of pod %s is being started", n.Name, name)}, err
		})
	default:
		m.mode, m.ticks, m.scroll = topWhy, nil, 0
		m.ask("", func(ctx context.Context, c *client.Client) (tea.Msg, error) { return decisions(ctx, c, name) })
	}
}

func (m *topModel) act(name, doing, done string, do func(*client.Client, context.Context, string, client.Wait) (wire.Pod, error)) {
	m.ask(doing+" pod "+name, func(ctx context.Context, c *client.Client) (tea.Msg, error) {
		_, err := do(c, ctx, name, 0)
		return doneMsg{"pod " + name + " " + done}, err
	})
}

func decisions(ctx context.Context, c *client.Client, pod string) (tea.Msg, error) {
	ticks, err := c.Decisions(ctx, pod, everyTick)
	return whyMsg{ticks}, err
}

// choose returns the chosen pod, the first one where it is gone or hidden.
func (m *topModel) choose() (string, bool) {
	shown := m.shown()
	if len(shown) == 0 {
		return "", false
	}
	if i := m.index(shown); i >= 0 {
		return shown[i].Name, true
	}
	m.chosen = shown[0].Name
	return m.chosen, true
}

func (m *topModel) index(shown []wire.Pod) int {
	return slices.IndexFunc(shown, func(p wire.Pod) bool { return p.Name == m.chosen })
}

func (m *topModel) move(by int) {
	if _, ok := m.choose(); !ok {
		return
	}
	shown := m.shown()
	i := min(max(m.index(shown)+by, 0), len(shown)-1)
	m.chosen = shown[i].Name
}

// topSorts are the orders of pods.
func topSorts() []string {
	return []string{"name", "state", "nodes", "cpu", "inflight", "rate", "p95"}
}

// shown returns the pods that pass the filter, in order.
func (m *topModel) shown() []wire.Pod {
	pods := slices.DeleteFunc(slices.Clone(m.state.Pods), func(p wire.Pod) bool {
		return !strings.Contains(p.Name, strings.ToLower(m.filter))
	})
	slices.SortStableFunc(pods, func(x, y wire.Pod) int {
		order := m.compare(status(x), status(y))
		if m.reverse {
			order = -order
		}
		if order == 0 {
			order = strings.Compare(x.Name, y.Name)
			if m.reverse && topSorts()[m.by] == "name" {
				order = -order
			}
		}
		return order
	})
	return pods
}

// compare puts the most first, and what was not measured last.
func (m *topModel) compare(x, y wire.PodStatus) int {
	of := func(s wire.PodStatus) float64 {
		sample := s.Sample
		if sample == nil {
			sample = &wire.Sample{}
		}
		var v *float64
		switch topSorts()[m.by] {
		case "nodes":
			return float64(s.Nodes.Online)
		case "cpu":
			v = sample.CPU
		case "inflight":
			v = sample.InFlight
		case "rate":
			v = sample.Rate
		case "p95":
			v = sample.P95
		}
		if v == nil {
			return -1
		}
		return *v
	}
	switch topSorts()[m.by] {
	case "name":
		return 0
	case "state":
		return strings.Compare(x.State, y.State)
	}
	return cmp.Compare(of(y), of(x))
}
