package picture

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
)

// Run is a recorded run of one pod.
type Run struct {
	// Title stands above the drawing; About describes it to those who cannot see it.
	Title, About string
	// Lower and Upper are the thresholds, as fractions of a node's CPU limit.
	Lower, Upper float64
	// Ticks are in the order of time.
	Ticks []Tick
}

// Tick is what was seen and decided at one moment.
type Tick struct {
	At     float64  `json:"at"`     // seconds since the run began
	Online int      `json:"online"` // nodes
	Before int      `json:"before"` // wanted nodes before
	Want   int      `json:"want"`   // and after the decision
	Rate   *float64 `json:"rate"`   // requests a second; nil: not measured
	CPU    *float64 `json:"cpu"`    // fraction of the limit, mean over nodes; nil: not measured
	Reason string   `json:"reason"` // of a decision that changed the wanted number
}

// The drawing's measures, in its own units.
const (
	width      = 880
	left       = 64
	right      = 824
	topDemand  = 72
	lowDemand  = 252
	topCPU     = 300
	lowCPU     = 400
	firstLine  = 462
	lineHeight = 22
)

// style gives each thing one colour, in a light and in a dark variant of equal
// contrast. Demand is an area, nodes are a thick step, thresholds are dashed:
// they are told apart without their colours.
const style = `
.card{fill:#fff;stroke:#d5dbe3}text{font:13px system-ui,-apple-system,"Segoe UI",sans-serif;fill:#414b5a}
.title{font-size:16px;font-weight:600;fill:#18202b}.grid{stroke:#e6eaf0}.axis{stroke:#aab4c2}
.demand{fill:#c6dcf7;stroke:#3b78c4;stroke-width:1.5}.nodes{fill:none;stroke:#b4540a;stroke-width:3}
.cpu{fill:none;stroke:#5b4bb5;stroke-width:2}.bound{stroke:#8a94a3;stroke-dasharray:6 5}.mark{stroke:#b4540a;stroke-dasharray:2 4}
.dot{fill:#b4540a}.num{fill:#fff;font-size:11px;font-weight:700;text-anchor:middle}
.end{text-anchor:end}.mid{text-anchor:middle}.small{font-size:12px}
.tDemand{fill:#2c66b0}.tNodes{fill:#a0480a}.tCPU{fill:#5b4bb5}
.halo{paint-order:stroke;stroke:#fff;stroke-width:6px;stroke-linejoin:round}
@media(prefers-color-scheme:dark){.card{fill:#10151d;stroke:#2c3644}text{fill:#b4bfcd}.title{fill:#eef2f7}
.grid{stroke:#1f2833}.axis{stroke:#4d5968}.demand{fill:#1d3a5f;stroke:#6ea8ec}.nodes{stroke:#f0964a}
.cpu{stroke:#a99bf0}.bound{stroke:#7b8797}.mark{stroke:#f0964a}.dot{fill:#f0964a}.num{fill:#10151d}
.tDemand{fill:#86b8f2}.tNodes{fill:#f3a564}.tCPU{fill:#b8acf5}
.halo{stroke:#10151d}}
`

// Draw draws the run.
func Draw(r Run) []byte {
	d := newDrawing(r)
	d.frame()
	d.demand()
	d.cpu()
	d.decisions()
	d.b.WriteString("</svg>\n")
	return d.b.Bytes()
}

type drawing struct {
	run      Run
	b        bytes.Buffer
	length   float64 // seconds
	mostRate float64 // top of the demand's scale
	mostNode int     // top of the nodes' scale
	changes  []Tick
	height   int
}

func newDrawing(r Run) *drawing {
	d := &drawing{run: r}
	rate, nodes := 1.0, 1
	for _, t := range r.Ticks {
		d.length = t.At
		nodes = max(nodes, t.Want, t.Online)
		if t.Rate != nil {
			rate = max(rate, *t.Rate)
		}
		if t.Before != t.Want {
			d.changes = append(d.changes, t)
		}
	}
	// Both scales have as many steps, so that they share their grid.
	d.mostNode = nodes + 1
	step := math.Ceil(rate/float64(d.mostNode)/5) * 5
	d.mostRate = step * float64(d.mostNode)
	d.length = math.Ceil(d.length/5) * 5
	d.height = firstLine + lineHeight*((len(d.changes)+1)/2) - 2
	return d
}

func (d *drawing) x(seconds float64) float64 {
	return left + (right-left)*seconds/d.length
}

func (d *drawing) yRate(v float64) float64 { return between(lowDemand, topDemand, v/d.mostRate) }

func (d *drawing) yNodes(n int) float64 {
	return between(lowDemand, topDemand, float64(n)/float64(d.mostNode))
}

func (d *drawing) yCPU(v float64) float64 { return between(lowCPU, topCPU, min(v, 1)) }

func between(from, to, part float64) float64 { return from + (to-from)*part }

func (d *drawing) printf(format string, args ...any) { fmt.Fprintf(&d.b, format, args...) }

func (d *drawing) text(x, y float64, class, text string) {
	d.printf("<text x=%q y=%q class=%q>%s</text>\n", num(x), num(y), class, html.EscapeString(text))
}

func (d *drawing) line(x1, y1, x2, y2 float64, class string) {
	d.printf("<path class=%q d=\"M%s %sL%s %s\"/>\n", class, num(x1), num(y1), num(x2), num(y2))
}

// frame draws everything that is there without data.
func (d *drawing) frame() {
	d.printf("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" aria-labelledby=\"t d\">\n", width, d.height, width, d.height)
	d.printf("<title id=\"t\">%s</title>\n<desc id=\"d\">%s</desc>\n<style>%s</style>\n", html.EscapeString(d.run.Title), html.EscapeString(d.run.About), style)
	d.printf("<rect class=\"card\" x=\".5\" y=\".5\" width=\"%d\" height=\"%d\" rx=\"10\"/>\n", width-1, d.height-1)
	d.text(24, 34, "title", d.run.Title)
	d.text(left, 60, "tDemand", "requests a second")
	d.text(right, 60, "tNodes end", "nodes")
	for n := range d.mostNode + 1 {
		y := d.yNodes(n)
		d.line(left, y, right, y, "grid")
		d.text(left-8, y+4, "small end", num(d.mostRate/float64(d.mostNode)*float64(n)))
		d.text(right+8, y+4, "small", strconv.Itoa(n))
	}
	for _, v := range []float64{0, 1} {
		d.line(left, d.yCPU(v), right, d.yCPU(v), "grid")
		d.text(left-8, d.yCPU(v)+4, "small end", strconv.FormatFloat(v, 'f', 1, 64))
	}
	for s := 0.0; s <= d.length; s += 10 {
		d.line(d.x(s), lowCPU, d.x(s), lowCPU+5, "axis")
		d.text(d.x(s), lowCPU+20, "small mid", fmt.Sprintf("%d:%02d", int(s)/60, int(s)%60))
	}
	d.line(left, lowCPU, right, lowCPU, "axis")
}

// demand draws the area of requests and the step of nodes above it.
func (d *drawing) demand() {
	var area strings.Builder
	last, began := 0.0, false
	for _, t := range d.run.Ticks {
		if t.Rate == nil {
			continue
		}
		if !began {
			fmt.Fprintf(&area, "M%s %d", num(d.x(t.At)), lowDemand)
			began = true
		}
		fmt.Fprintf(&area, "L%s %s", num(d.x(t.At)), num(d.yRate(*t.Rate)))
		last = t.At
	}
	if began {
		d.printf("<path class=\"demand\" d=\"%sL%s %dZ\"/>\n", area.String(), num(d.x(last)), lowDemand)
	}
	var steps strings.Builder
	online := -1
	for _, t := range d.run.Ticks {
		switch {
		case t.Online == online:
			continue
		case online < 0:
			fmt.Fprintf(&steps, "M%s %s", num(d.x(t.At)), num(d.yNodes(t.Online)))
		default:
			fmt.Fprintf(&steps, "H%sV%s", num(d.x(t.At)), num(d.yNodes(t.Online)))
		}
		online = t.Online
	}
	if n := len(d.run.Ticks); n > 0 {
		fmt.Fprintf(&steps, "H%s", num(d.x(d.run.Ticks[n-1].At)))
	}
	d.printf("<path class=\"nodes\" d=%q/>\n", steps.String())
}

// cpu draws the CPU between its thresholds.
func (d *drawing) cpu() {
	for _, bound := range []struct {
		name  string
		value float64
	}{{"upper", d.run.Upper}, {"lower", d.run.Lower}} {
		y := d.yCPU(bound.value)
		d.line(left, y, right, y, "bound")
		d.text(left-8, y+4, "small end", strconv.FormatFloat(bound.value, 'f', 1, 64))
		d.text(right+8, y+4, "small", bound.name)
	}
	var line strings.Builder
	command := byte('M')
	for _, t := range d.run.Ticks {
		if t.CPU == nil {
			command = 'M'
			continue
		}
		fmt.Fprintf(&line, "%c%s %s", command, num(d.x(t.At)), num(d.yCPU(*t.CPU)))
		command = 'L'
	}
	d.printf("<path class=\"cpu\" d=%q/>\n", line.String())
}

// decisions numbers the changes in the drawing and says each one's sentence
// below it, down the left column and then down the right one.
func (d *drawing) decisions() {
	rows := (len(d.changes) + 1) / 2
	for i, t := range d.changes {
		x, label := d.x(t.At), strconv.Itoa(i+1)
		d.line(x, topDemand, x, lowCPU, "mark")
		d.number(x, topDemand, label)
		lx, ly := 34.0, float64(firstLine+lineHeight*i)
		if i >= rows {
			lx, ly = width/2+14, float64(firstLine+lineHeight*(i-rows))
		}
		d.number(lx, ly-13, label)
		d.text(lx+18, ly-8.5, "small", fmt.Sprintf("%d:%02d", int(t.At)/60, int(t.At)%60))
		d.text(lx+52, ly-8.5, "small", t.Reason)
	}
	// Last, so that no line runs through it.
	d.text(left, topCPU-12, "tCPU halo", "CPU of a node, as a part of its limit")
}

func (d *drawing) number(x, y float64, label string) {
	d.printf("<circle class=\"dot\" cx=%q cy=%q r=\"9\"/>\n", num(x), num(y))
	d.text(x, y+4, "num", label)
}

// num writes a number with at most one decimal.
func num(v float64) string {
	return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
}
