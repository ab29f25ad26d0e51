package main

import (
	"bytes"
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/elastipod/elastipod/cms/wire"
)

// View draws the screen.
func (m *topModel) View() tea.View {
	v := tea.NewView(strings.Join(m.lines(), "\n"))
	v.AltScreen = true
	v.WindowTitle = "cloud top"
	return v
}

// lines are those of the screen: a head, a body that is scrolled, and a foot.
func (m *topModel) lines() []string {
	head := m.head()
	foot := []string{m.foot()}
	room := max(m.height-len(head)-len(foot), 1)
	var body []string
	switch m.mode {
	case topWhy:
		body = m.scrolled(m.why(), room)
	case topHelp:
		body = m.scrolled(strings.Split(topKeys, "\n"), room)
	default:
		body = m.tables(room)
	}
	for len(body) < room {
		body = append(body, "")
	}
	all := append(append(head, body[:room]...), foot...)
	fits := lipgloss.NewStyle().MaxWidth(max(m.width, 1))
	for i := range all {
		all[i] = fits.Render(all[i])
	}
	return all
}

// summary is the cluster in a line.
func (m *topModel) summary() string {
	c := m.state.Cluster
	return printable(fmt.Sprintf("%s %s: %s, %s, %s", c.Name, c.Version, plural(len(m.state.Pods), "pod"), plural(c.Nodes, "node"), plural(len(m.state.Hosts), "host")))
}

func (m *topModel) head() []string {
	title := lipgloss.NewStyle().Bold(true)
	live := m.style(green).Render("live")
	if m.broken != nil {
		live = m.style(red).Render("disconnected, last seen " + m.a.age(m.heard) + " ago; trying again")
	}
	order := topSorts()[m.by]
	if m.reverse {
		order += ", reversed"
	}
	head := []string{title.Render(m.summary()) + "  " + live + "  " + m.style(dim).Render("by "+order)}
	for i, p := range m.state.Cluster.Problems {
		if i == 3 {
			head = append(head, m.style(red).Render(fmt.Sprintf("! and %d more", len(m.state.Cluster.Problems)-i)))
			break
		}
		head = append(head, m.style(red).Render("! "+printable(p.String())))
	}
	if m.filter != "" || m.mode == topFilter {
		cursor := ""
		if m.mode == topFilter {
			cursor = "█"
		}
		head = append(head, "filter: "+m.filter+cursor)
	}
	return append(head, "")
}

func (m *topModel) foot() string {
	switch {
	case m.mode == topConfirm:
		return m.style(yellow).Render("Pause pod " + m.pausing + "? Its fronts answer 503 until it is resumed. y: pause it, any other key: leave it")
	case m.mode == topFilter:
		return m.style(dim).Render("type a part of a name; enter: keep it, esc: show all")
	case m.mode == topWhy || m.mode == topHelp:
		return m.style(dim).Render("arrows: scroll, any other key: back")
	case m.message != "" && m.bad:
		return m.style(red).Render(printable(m.message))
	case m.message != "":
		return printable(m.message)
	}
	return m.style(dim).Render("↑↓ choose  enter why  p pause  r resume  l launch  s sort  / filter  ? keys  q quit")
}

const topKeys = `↑ ↓ or k j   choose a pod
enter or w   why the pod has the nodes that it has
p            pause the pod: its fronts answer 503; asks first
r            resume the pod
l            launch the pod's oldest new node
s            sort by the next column: name, state, nodes, cpu, inflight, rate, p95
S            sort the other way round
/            filter by name; esc shows all again
q or ctrl-c  quit`

// style returns a style in one of this program's colours, for terminals that want
// colours.
func (m *topModel) style(c colour) lipgloss.Style {
	s := lipgloss.NewStyle()
	if !m.a.out.colours {
		return s
	}
	switch c {
	case dim:
		return s.Faint(true)
	case red:
		return s.Foreground(lipgloss.Red)
	case green:
		return s.Foreground(lipgloss.Green)
	case yellow:
		return s.Foreground(lipgloss.Yellow)
	}
	return s
}

// screen returns one whose text is a part of the picture.
func (m *topModel) screen(out *bytes.Buffer) screen {
	return screen{Writer: out, terminal: true, colours: m.a.out.colours, columns: max(m.width, 1)}
}

// tables are the pods, as many as there is room for around the chosen one, and the
// hosts below them.
func (m *topModel) tables(room int) []string {
	shown := m.shown()
	if len(shown) == 0 {
		if m.filter != "" {
			return []string{fmt.Sprintf("No pod's name contains %q.", m.filter)}
		}
		return []string{`No pods yet. Create the default ones with "cloud init", or your own with "cloud pod register".`}
	}
	_, _ = m.choose()
	hosts := m.hosts()
	if len(hosts) > room/2 {
		hosts = nil // pods are what one came for
	}
	at := m.index(shown)
	rows := max(room-1-len(hosts), 1)
	from := max(min(at-rows/2, len(shown)-rows), 0)
	shown = shown[from:min(from+rows, len(shown))]
	lines := m.pods(shown)
	lines[1+at-from] = lipgloss.NewStyle().Reverse(true).Render(lines[1+at-from])
	return append(lines, hosts...)
}

func (m *topModel) pods(shown []wire.Pod) []string {
	t := newTable(left("POD"), left("STATE"), right("NODES"), right("WANT"), left("ELASTIC").whenWide(), right("CPU"), right("IN FLIGHT"), left("DEMAND").whenWide(),
		right("REQ/S"), right("ERR/S").whenWide(), right("P95").whenWide(), left("LAST DECISION").whenWide())
	for _, p := range shown {
		s := status(p)
		sample := s.Sample
		if sample == nil {
			sample = &wire.Sample{}
		}
		reason, paint := s.Reason, plain
		if len(s.Problems) > 0 {
			reason, paint = s.Problems[0].Text, red
		}
		cells := []any{p.Name, stateCell(s.State), s.Nodes.Online, s.Want, elasticText(s.Elasticity), percent(sample.CPU), number(sample.InFlight),
			sparkline(m.history[p.Name]), number(sample.Rate), number(sample.Errors), secondsText(sample.P95), cell{reason, paint}}
		if p.Name == m.chosen { // in one colour, reversed
			cells[1], cells[len(cells)-1] = s.State, reason
		}
		t.row(cells...)
	}
	var out bytes.Buffer
	_ = t.print(m.screen(&out)) // a buffer takes everything
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

func (m *topModel) hosts() []string {
	if len(m.state.Hosts) == 0 {
		return nil
	}
	var out bytes.Buffer
	painted := *m.a
	painted.out = m.screen(&out)
	_ = painted.printHosts(m.state.Hosts) // a buffer takes everything
	return append([]string{""}, strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")...)
}

// why is what "cloud why" says of the chosen pod.
func (m *topModel) why() []string {
	for _, p := range m.state.Pods {
		if p.Name != m.chosen {
			continue
		}
		if m.ticks == nil {
			return []string{"…"}
		}
		var past []wire.Tick
		for _, t := range m.ticks {
			if t.Before != t.Want && len(past) < 20 {
				past = append(past, t)
			}
		}
		var out bytes.Buffer
		painted := *m.a
		painted.out = m.screen(&out)
		_ = painted.printWhy(p, m.ticks, past, false) // a buffer takes everything
		return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	}
	return []string{"pod " + m.chosen + " is gone"}
}

// scrolled returns the part of the lines that is looked at.
func (m *topModel) scrolled(lines []string, room int) []string {
	m.scroll = min(m.scroll, max(len(lines)-room, 0))
	return lines[m.scroll:min(m.scroll+room, len(lines))]
}

// sparkline draws values between 0 and their most.
func sparkline(values []float64) string {
	bars := []rune("▁▂▃▄▅▆▇█")
	most := 1.0
	for _, v := range values {
		most = max(most, v)
	}
	out := make([]rune, len(values))
	for i, v := range values {
		out[i] = bars[min(int(max(v, 0)/most*float64(len(bars)-1)+0.5), len(bars)-1)]
	}
	return string(out)
}
