package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/internal/openloop"
)

// demo shows a pod that follows its load.
type demo struct {
	show       *screen
	wave       wave
	elasticity cms.Elasticity
	patience   time.Duration // for what should take moments

	manager *cms.Manager
	url     string // of the API
}

// elasticPod is the pod of the demo that grows and shrinks.
const elasticPod = "medium"

// defaultURL is where the cloud command looks for a server.
const defaultURL = "http://127.0.0.1:3000"

// wave is a load that comes and goes, in requests a second.
type wave struct {
	low, high                    float64
	before, rise, hold, fall, by time.Duration
}

func (w wave) length() time.Duration { return w.before + w.rise + w.hold + w.fall + w.by }

// rate is an [openloop.Shape].
func (w wave) rate(t time.Duration) float64 {
	if t -= w.before; t < 0 {
		return w.low
	}
	if t < w.rise {
		return w.low + (w.high-w.low)*float64(t)/float64(w.rise)
	}
	if t -= w.rise + w.hold; t < 0 {
		return w.high
	}
	if t < w.fall {
		return w.high - (w.high-w.low)*float64(t)/float64(w.fall)
	}
	return w.low
}

// demoWave leaves the machine some room: a request of medium takes 20 ms of CPU
// time, and one node of it half a core.
func demoWave() wave {
	return wave{
		low: 5, high: min(25*float64(runtime.NumCPU()), 75) + 3,
		before: 5 * time.Second, rise: 20 * time.Second, hold: 20 * time.Second, fall: 15 * time.Second, by: 10 * time.Second,
	}
}

func newDemo(stdout io.Writer) *demo {
	return &demo{
		show: newScreen(stdout, os.Getenv("NO_COLOR") == ""),
		wave: demoWave(),
		elasticity: cms.Elasticity{
			Enabled: true, Min: 1, Max: 6, Mode: cms.ModeAct,
			Policy: &elastic.Cooldown{Up: 2 * time.Second, Down: 4 * time.Second, Policy: elastic.Threshold{Lower: 0.3, Upper: 0.7}},
		},
		patience: 30 * time.Second,
	}
}

// run plays the demo on a server that is ready, and waits until ctx ends.
func (d *demo) run(ctx context.Context, m *cms.Manager, url string) error {
	d.manager, d.url = m, url
	defer d.show.clear()
	if err := d.play(ctx); err != nil && ctx.Err() == nil {
		return err
	} else if err != nil {
		d.show.line("")
	}
	<-ctx.Done()
	d.show.line("Ending: stopping the nodes.")
	return nil
}

// play is the demo from its first line to its last.
func (d *demo) play(ctx context.Context) error {
	d.show.line("elastipod: three pods, their nodes are processes of this machine")
	d.show.line("")
	if err := d.createPods(ctx); err != nil {
		return err
	}
	d.show.line("")
	d.show.line(fmt.Sprintf("%s gets a wave of load: %.0f, %.0f, %.0f requests a second in %.0f s. Each line is a decision.",
		elasticPod, d.wave.low, d.wave.high, d.wave.low, d.wave.length().Seconds()))
	d.show.line("")
	result, most, err := d.load(ctx)
	d.show.clear()
	if err != nil {
		return err
	}
	d.show.line("")
	d.show.line(fmt.Sprintf("%s requests, %s failed; half within %s, 99 %% within %s; nodes 1, %d, %d",
		thousands(result.Sent), thousands(result.Failed), short(result.Latency.P50), short(result.Latency.P99), most, d.want()))
	d.next()
	return nil
}

// createPods creates light, medium and heavy, one node each, and waits for them.
func (d *demo) createPods(ctx context.Context) error {
	m := d.manager
	pods, err := m.Init(ctx)
	if err != nil {
		return err
	}
	for _, p := range pods {
		name := p.Spec.Name
		if name == elasticPod {
			_, err = m.SetElasticity(ctx, name, d.elasticity)
		} else if len(p.Nodes) == 0 {
			if _, err = m.RegisterNode(ctx, name, ""); err == nil {
				_, err = m.Launch(ctx, name)
			}
		}
		if err != nil {
			return err
		}
	}
	for _, p := range pods {
		if err := d.await(ctx, p.Spec.Name, func(s cms.PodStatus) bool { return s.Converged && s.Counts.Online > 0 }); err != nil {
			return err
		}
		about := map[string]string{"light": "answers at once", elasticPod: "20 ms of CPU a request; elastic, 1 to 6 nodes", "heavy": "80 ms of CPU a request"}
		d.show.line(fmt.Sprintf("  %-8s http://%s   %s", p.Spec.Name, front(p), about[p.Spec.Name]))
	}
	return nil
}

// await waits for a pod, and says what is wrong with it where that takes long.
func (d *demo) await(ctx context.Context, name string, done func(cms.PodStatus) bool) error {
	wait, cancel := context.WithTimeout(ctx, d.patience)
	defer cancel()
	s, err := d.manager.WaitPod(wait, name, done)
	if err != nil && ctx.Err() == nil && wait.Err() != nil {
		var problems []string
		for _, p := range s.Problems {
			problems = append(problems, p.Sentence(time.Now()))
		}
		return fmt.Errorf("pod %s is not ready after %s: %s", name, d.patience, strings.Join(problems, "; "))
	}
	return err
}

// load sends the wave and shows what the pod makes of it, until it is small
// again.
func (d *demo) load(ctx context.Context) (result openloop.Result, most int, err error) {
	p, err := d.manager.Pod(elasticPod)
	if err != nil {
		return result, 0, err
	}
	watchCtx, stop := context.WithCancel(ctx)
	watched := make(chan struct{})
	began := time.Now()
	most = 1
	_, next := d.manager.Events(0)
	decisions := d.manager.Subscribe(next-1, 1024) // from now on
	go func() {
		defer close(watched)
		defer decisions.Close()
		for {
			e, err := decisions.Next(watchCtx)
			if err != nil {
				return
			}
			if e.Pod == elasticPod && e.Type == cms.EventScaled {
				most = max(most, e.Tick.Decision.Want)
				d.show.decision(time.Since(began), e.Tick.Sample.Nodes.Online, e.Tick.Decision.Want, d.elasticity.Max, e.Tick.Sample.Rate, e.Message)
			}
		}
	}()
	defer func() {
		stop()
		<-watched
	}()
	result, err = openloop.Run(ctx, openloop.Config{
		URL: "http://" + front(p) + "/", Shape: d.wave.rate, Duration: d.wave.length(),
		Progress: func(progress openloop.Progress) {
			s := d.status()
			d.show.live(progress.Elapsed, s.Counts.Online, s.Want, d.elasticity.Max, s.Sample)
		},
	})
	if err != nil {
		return result, most, err
	}
	err = d.await(ctx, elasticPod, func(s cms.PodStatus) bool { return s.Want == d.elasticity.Min && s.Converged })
	stop()
	<-watched
	return result, most, err
}

func (d *demo) status() cms.PodStatus {
	s, err := d.manager.Pod(elasticPod)
	if err != nil {
		return cms.PodStatus{} // deleted by somebody who tries the API
	}
	return s
}

func (d *demo) want() int { return d.status().Want }

// next says what to try.
func (d *demo) next() {
	p := d.status()
	cloud := "go run ./examples/cloud"
	if d.url != defaultURL {
		cloud += " --server " + d.url
	}
	d.show.line("")
	d.show.line("It goes on until Ctrl-C. Try:")
	for _, line := range []string{
		"curl -i http://" + front(p) + "/work?cpu=50ms",
		cloud + " why " + elasticPod,
		cloud + " request " + elasticPod + " --rate 40 --for 30s",
		cloud + " elasticity enable heavy 1 4",
		d.url + " in a browser: the dashboard",
		d.url + "/docs in a browser: the API",
	} {
		d.show.line("  " + line)
	}
}

func front(p cms.PodStatus) string {
	if len(p.Spec.Fronts) == 0 {
		return ""
	}
	return p.Spec.Fronts[0].Listen
}
