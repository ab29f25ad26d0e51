package main

import (
	"context"
	"fmt"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/elastipod/elastipod/cms/client"
)

// patience is how long a command is silent while it waits.
const patience = time.Second

// first is how long the server is asked to wait before this program begins to ask
// by itself: what takes a moment is known the moment it is done.
func (a *app) first() client.Wait {
	if !a.wait {
		return 0
	}
	return client.Wait(min(patience, a.timeout))
}

// step is where something that takes long has got to.
type step struct {
	done bool
	note string // what it does now, for a person
}

// await calls look until it says that what is done, showing a spinner to a
// person from a second after the command began on. It asks often at first, then less.
func (a *app) await(ctx context.Context, what string, look func(context.Context) (step, error)) error {
	if !a.wait {
		return nil
	}
	waiting, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	spin := a.spinner()
	defer spin.clear()
	pause := 20 * time.Millisecond
	var last step
	for {
		s, err := look(waiting)
		switch {
		case err != nil && waiting.Err() == nil:
			return err
		case err == nil:
			if last = s; s.done {
				return nil
			}
		}
		if time.Since(a.began) > patience {
			spin.show(what, last.note)
		}
		select {
		case <-waiting.Done():
			if ctx.Err() != nil {
				return ctx.Err()
			}
			note := ""
			if last.note != "" {
				note = " (" + last.note + ")"
			}
			return fmt.Errorf("not done after %s: %s%s; it goes on without you, and --timeout waits longer", a.timeout, what, note)
		case <-time.After(pause):
			pause = min(pause*3/2, 250*time.Millisecond)
		}
	}
}

// awaitGone calls look, which says what is left, until it answers that nothing is
// there. Where nothing waits, nothing is gone.
func (a *app) awaitGone(ctx context.Context, what string, look func(context.Context) (note string, err error)) (gone bool, err error) {
	err = a.await(ctx, what, func(ctx context.Context) (step, error) {
		note, err := look(ctx)
		if client.NotFound(err) {
			gone = true
			return step{done: true}, nil
		}
		return step{note: note}, err
	})
	return gone, err
}

// spinner shows that something goes on, on the terminal of a person.
type spinner struct {
	a   *app
	bar *progressbar.ProgressBar
}

func (a *app) spinner() *spinner { return &spinner{a: a} }

func (s *spinner) show(what, note string) {
	if !s.a.err.terminal {
		return
	}
	if s.bar == nil {
		s.bar = progressbar.NewOptions(-1,
			progressbar.OptionSetWriter(s.a.err),
			progressbar.OptionSpinnerType(14),
			// No goroutine of its own: it turns when it is shown.
			progressbar.OptionSetSpinnerChangeInterval(0),
			progressbar.OptionSetElapsedTime(true),
			progressbar.OptionClearOnFinish(),
		)
	}
	if note != "" {
		what += ": " + note
	}
	s.bar.Describe(cut(printable(what), max(s.a.err.width()-12, 20)))
}

func (s *spinner) clear() {
	if s.bar != nil {
		_ = s.bar.Clear()
	}
}
