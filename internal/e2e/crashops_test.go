//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/client"
	"github.com/elastipod/elastipod/cms/wire"
)

// settings is what people have set of a pod, as far as the commands here change
// it.
type settings struct {
	Want, Max, Registered int
	Version, Command      string
	Strategy              string
	Paused                bool
	Fronts, Elasticity    string
}

// cluster is what people have set of all pods, by their names. A pod that is
// being deleted is none.
type cluster map[string]settings

func (c cluster) with(pod string, edit func(*settings)) cluster {
	out := maps.Clone(c)
	s := out[pod]
	edit(&s)
	out[pod] = s
	return out
}

func settingsOf(p wire.Pod) settings {
	fronts := make([]string, 0, len(p.Fronts))
	for _, f := range p.Fronts {
		fronts = append(fronts, f.Name+"="+f.Listen)
	}
	slices.Sort(fronts)
	e := p.Status.Elasticity
	return settings{
		Want: p.Status.Want, Max: int(p.MaxNodes), Registered: p.Status.Nodes.New,
		Version: p.Workload.Env["VERSION"], Command: strings.Join(p.Workload.Command, " "),
		Strategy: p.Update.Strategy, Paused: p.Status.State == "paused",
		Fronts: strings.Join(fronts, ","), Elasticity: fmt.Sprint(e.Enabled, e.Min, e.Max),
	}
}

// settings reads what the server says is set.
func (k *killing) settings() cluster {
	out := cluster{}
	for _, p := range k.pods() {
		if p.Status.State != "deleting" {
			out[p.Name] = settingsOf(p)
		}
	}
	return out
}

func (k *killing) pods() []wire.Pod {
	list, err := k.api.Pods(k.t.Context())
	require.NoError(k.t, err)
	return list
}

// command changes something.
type command struct {
	name string
	do   func(context.Context, *client.Client) error
	// after is what is set once it is answered. With reverts the server takes
	// that back by itself.
	after   cluster
	reverts bool
	// losing is how many nodes of the pod web it replaces, at most; the others
	// live on.
	losing int
}

const allNodes = 1 << 10

// scale sets the number of nodes of the pod under load.
func (k *killing) scale(n int) command {
	losing := max(k.model["web"].Want-n, 0)
	return command{
		name: fmt.Sprintf("scale to %d", n), losing: losing,
		do: func(ctx context.Context, c *client.Client) error {
			_, err := c.PatchElasticity(ctx, "web", client.Patch{"enabled": true, "min": n, "max": n}, 0)
			return err
		},
		after: k.model.with("web", func(s *settings) { s.Want, s.Elasticity = n, fmt.Sprint(true, n, n) }),
	}
}

// change rolls the pod under load.
func (k *killing) change(strategy string) command {
	k.version++
	version := fmt.Sprint(k.version)
	return command{
		name: strategy + " rollout", losing: allNodes,
		do: func(ctx context.Context, c *client.Client) error {
			_, err := c.PatchPod(ctx, "web", client.Patch{
				"update": map[string]any{"strategy": strategy}, "workload": map[string]any{"env": map[string]string{"VERSION": version}},
			}, 0)
			return err
		},
		after: k.model.with("web", func(s *settings) { s.Strategy, s.Version = strategy, version }),
	}
}

// spoil gives the pod under load a command that fails: the rollout goes back.
func (k *killing) spoil() command {
	bad := "/does/not/exist"
	return command{
		name: "rollout that fails", reverts: true,
		do: func(ctx context.Context, c *client.Client) error {
			_, err := c.PatchPod(ctx, "web", client.Patch{"workload": map[string]any{"command": []string{bad}}}, 0)
			return err
		},
		after: k.model.with("web", func(s *settings) { s.Command = bad }),
	}
}

// loseNode kills a node of the pod under load, as a crash of its program would.
func (k *killing) loseNode() command {
	n := k.nodes("web", "online")[0]
	return command{
		name: "a node dies", losing: 1, after: k.model,
		do: func(context.Context, *client.Client) error {
			k.killNode(n)
			return nil
		},
	}
}

// create makes the pod that comes and goes.
func (k *killing) create() command {
	p := wire.Pod{
		Name: "extra", MaxNodes: 2, Workload: k.workload, Limits: k.limits,
		Fronts: []wire.Front{{Name: "extra-a", Listen: k.listen[0]}, {Name: "extra-b", Listen: k.listen[1]}},
	}
	return command{
		name: "create a pod",
		do: func(ctx context.Context, c *client.Client) error {
			_, err := c.CreatePod(ctx, p, 0)
			return err
		},
		after: k.model.with("extra", func(s *settings) {
			*s = settings{
				Max: 2, Command: strings.Join(k.workload.Command, " "), Strategy: "rolling",
				Fronts: "extra-a=" + k.listen[0] + ",extra-b=" + k.listen[1], Elasticity: fmt.Sprint(false, 1, 2),
			}
		}),
	}
}

// move gives the pod that comes and goes another second front.
func (k *killing) move() command {
	name, listen := "extra-c", k.listen[2]
	if strings.Contains(k.model["extra"].Fronts, name) {
		name, listen = "extra-b", k.listen[1]
	}
	return command{
		name: "change fronts",
		do: func(ctx context.Context, c *client.Client) error {
			_, err := c.PatchPod(ctx, "extra", client.Patch{"fronts": []map[string]string{
				{"name": "extra-a", "listen": k.listen[0]}, {"name": name, "listen": listen},
			}}, 0)
			return err
		},
		after: k.model.with("extra", func(s *settings) { s.Fronts = "extra-a=" + k.listen[0] + "," + name + "=" + listen }),
	}
}

// remove deletes the pod that comes and goes.
func (k *killing) remove() command {
	after := maps.Clone(k.model)
	delete(after, "extra")
	return command{
		name: "delete a pod", after: after,
		do: func(ctx context.Context, c *client.Client) error {
			_, err := c.DeletePod(ctx, "extra", 0)
			return err
		},
	}
}

// note changes a setting of the pod that does nothing.
func (k *killing) note() command {
	n := k.model["idle"].Registered
	switch k.rand.IntN(3) {
	case 0:
		paused := !k.model["idle"].Paused
		return command{
			name: "pause or resume", after: k.model.with("idle", func(s *settings) { s.Paused = paused }),
			do: func(ctx context.Context, c *client.Client) error {
				var err error
				if paused {
					_, err = c.PausePod(ctx, "idle", 0)
				} else {
					_, err = c.ResumePod(ctx, "idle", 0)
				}
				return err
			},
		}
	case 1:
		if n < 8 {
			return command{
				name: "register", after: k.model.with("idle", func(s *settings) { s.Registered++ }),
				do: func(ctx context.Context, c *client.Client) error {
					_, err := c.RegisterNode(ctx, "idle", "")
					return err
				},
			}
		}
	}
	most := 10 + (k.model["idle"].Max+1)%10
	return command{
		name: "change a limit",
		after: k.model.with("idle", func(s *settings) {
			s.Max = most
			// Elasticity is off: its bounds follow what the pod may have.
			var enabled bool
			var low, high int
			_, _ = fmt.Sscan(s.Elasticity, &enabled, &low, &high)
			s.Elasticity = fmt.Sprint(enabled, low, min(high, most))
		}),
		do: func(ctx context.Context, c *client.Client) error {
			_, err := c.PatchPod(ctx, "idle", client.Patch{"max_nodes": most}, 0)
			return err
		},
	}
}

// any returns one of all commands.
func (k *killing) any() command {
	switch k.rand.IntN(8) {
	case 0, 1:
		return k.scale(k.otherSize())
	case 2:
		return k.change([]string{"rolling", "blue-green"}[k.rand.IntN(2)])
	case 3:
		return k.loseNode()
	case 4, 5:
		switch {
		case !k.extra():
			return k.create()
		case k.rand.IntN(2) == 0:
			return k.move()
		}
		return k.remove()
	}
	return k.note()
}

// otherSize is a number of nodes that the pod under load does not have.
func (k *killing) otherSize() int { return 5 - k.model["web"].Want }

// operation is something that the manager does with its ports.
type operation struct {
	name string
	// begin returns the command that makes it do that, after others that have been
	// carried out by then.
	begin func(*killing) command
}

func operations() []operation {
	return []operation{
		{"create a pod", (*killing).toCreate},
		{"change fronts", (*killing).toMove},
		{"delete a pod", (*killing).toRemove},
		{"scale out", (*killing).toScaleOut},
		{"replace a node", (*killing).loseNode},
		{"scale in", (*killing).toScaleIn},
		{"rollout", func(k *killing) command { return k.change("blue-green") }},
		{"rollout that goes back", (*killing).spoil},
	}
}

// need carries out a command unless what it is for is there.
func (k *killing) need(ok bool, c func() command) {
	k.t.Helper()
	if !ok {
		k.carryOut(c())
	}
}

func (k *killing) toScaleOut() command {
	k.need(k.model["web"].Want == 2, func() command { return k.scale(2) })
	return k.scale(3)
}

func (k *killing) toScaleIn() command {
	k.need(k.model["web"].Want == 3, func() command { return k.scale(3) })
	return k.scale(2)
}

func (k *killing) toCreate() command {
	k.need(!k.extra(), k.remove)
	return k.create()
}

func (k *killing) toMove() command {
	k.need(k.extra(), k.create)
	return k.move()
}

func (k *killing) toRemove() command {
	k.need(k.extra(), k.create)
	return k.remove()
}

// extra says whether the pod that comes and goes is there.
func (k *killing) extra() bool {
	_, ok := k.model["extra"]
	return ok
}

// toReach returns the command that makes the server pass a point of a backend up
// to twice, after others that have been carried out by then.
func (k *killing) toReach(point string, times int) command {
	switch step, _, _ := strings.Cut(point, "/"); {
	case step == "docker-start", step == "process-start", point == "servers/added":
		return k.toScaleOut()
	case step == "docker-stop", step == "process-stop", step == "servers":
		return k.toScaleIn()
	case step == "reload":
		if !k.extra() {
			return k.create()
		}
		return []func() command{k.move, k.remove}[k.rand.IntN(2)]()
	case step == "store" && times == 1:
		return k.note()
	case step == "store": // what is wanted and begun, and how it ended
		return k.toScaleOut()
	}
	k.t.Fatalf("no command reaches %s", point)
	return command{}
}
