package picture

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/client"
)

var (
	update = flag.Bool("update", false, "draw the README's picture anew")
	record = flag.Bool("record", false, "record a run of the demo first; it takes two minutes")
)

const (
	recording = "testdata/demo.json"
	drawn     = "../../examples/server/demo.svg"
	root      = "../.."
)

// TestPictureIsTheRecording: the README's picture is what the recorded run of
// the demo looks like.
func TestPictureIsTheRecording(t *testing.T) {
	if *record {
		recordDemo(t)
	}
	b, err := os.ReadFile(recording)
	require.NoError(t, err)
	var ticks []Tick
	require.NoError(t, json.Unmarshal(b, &ticks))
	svg := Draw(demo(ticks))
	if *update {
		require.NoError(t, os.WriteFile(drawn, svg, 0o644))
	}
	want, err := os.ReadFile(drawn)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(svg), "draw it anew: go test ./internal/picture -update")

	// What it shows is a run that is worth a picture.
	var up, down int
	for _, tick := range ticks {
		switch {
		case tick.Want > tick.Before:
			up++
		case tick.Want < tick.Before:
			down++
		}
		if tick.Want != tick.Before {
			assert.Contains(t, string(svg), tick.Reason)
		}
	}
	assert.GreaterOrEqual(t, up, 2)
	assert.Equal(t, up, down, "it comes back to where it began")
}

// TestPictureIsSafeAndReadable: it is well-formed, loads nothing, runs nothing,
// and has a variant for dark themes.
func TestPictureIsSafeAndReadable(t *testing.T) {
	rate := 12.0
	svg := Draw(Run{Title: `<script>"&`, Ticks: []Tick{
		{At: 0, Online: 1, Before: 1, Want: 1},
		{At: 5, Online: 1, Before: 1, Want: 2, Rate: &rate, CPU: &rate, Reason: "CPU <12> & more"},
	}})
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else {
			require.NoError(t, err)
		}
	}
	text := string(svg)
	assert.NotContains(t, text, "<script")
	assert.NotContains(t, strings.ReplaceAll(text, "http://www.w3.org/2000/svg", ""), "http")
	assert.Contains(t, text, "prefers-color-scheme:dark")
	assert.Contains(t, text, "CPU &lt;12&gt; &amp; more")
	assert.NotContains(t, text, "NaN")
	assert.NotContains(t, string(Draw(Run{})), "Inf")
}

func demo(ticks []Tick) Run {
	return Run{
		Title: "A wave of load on an elastic pod, as the demo ran it",
		About: "Requests a second rise from 5 to 53 and fall again within 70 seconds; the pod follows from 1 node to several and back. " +
			"Its CPU stays about its thresholds, and each change of its nodes has a sentence.",
		Lower: 0.3, Upper: 0.7, Ticks: ticks,
	}
}

// recordDemo runs the demo as "make run" does and keeps what its pod saw.
func recordDemo(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "ep")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	server := filepath.Join(dir, "server")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", server, "./examples/server")
	build.Dir = root
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)

	var said bytes.Buffer
	cmd := exec.CommandContext(t.Context(), server, "--demo")
	pipe, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	read := make(chan struct{})
	began, done := make(chan time.Time, 1), make(chan string, 1)
	go func() {
		defer close(read)
		buffer := make([]byte, 4096)
		for {
			n, err := pipe.Read(buffer)
			said.Write(buffer[:n])
			if strings.Contains(said.String(), "gets a wave") {
				select {
				case began <- time.Now():
				default:
				}
			}
			if m := regexp.MustCompile(`(http://\S+)/docs`).FindStringSubmatch(said.String()); m != nil {
				select {
				case done <- m[1]:
				default:
				}
			}
			if err != nil {
				return
			}
		}
	}()
	var at time.Time
	var url string
	for at.IsZero() || url == "" {
		select {
		case first := <-began:
			if at.IsZero() {
				at = first
			}
		case url = <-done:
		case <-time.After(3 * time.Minute):
			t.Fatalf("the demo does not end:\n%s", said.String())
		}
	}
	c, err := client.New(client.Config{Server: url})
	require.NoError(t, err)
	decided, err := c.Decisions(t.Context(), "medium", 1000)
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	<-read
	require.NoError(t, cmd.Wait())

	var ticks []Tick
	for _, d := range slices.Backward(decided) {
		seconds := d.At.Sub(at).Seconds()
		if seconds < 0 || seconds > 72 {
			continue
		}
		tick := Tick{At: round(seconds), Online: d.Sample.Nodes.Online, Before: d.Before, Want: d.Want}
		tick.Rate, tick.CPU = rounded(d.Sample.Rate), rounded(d.Sample.CPU)
		if d.Before != d.Want {
			tick.Reason = d.Reason
		}
		ticks = append(ticks, tick)
	}
	var b bytes.Buffer
	b.WriteString("[\n")
	for i, tick := range ticks {
		line, err := json.Marshal(tick)
		require.NoError(t, err)
		b.Write(line)
		if i < len(ticks)-1 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
	}
	b.WriteString("]\n")
	require.NoError(t, os.WriteFile(recording, b.Bytes(), 0o644))
}

func round(v float64) float64 { return float64(int(v*1000+0.5)) / 1000 }

func rounded(v *float64) *float64 {
	if v == nil {
		return nil
	}
	r := round(*v)
	return &r
}
