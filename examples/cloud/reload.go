package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/elastipod/elastipod/cms/client"
	"github.com/elastipod/elastipod/cms/wire"
)

func (a *app) reloadCommand() *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Let the server read its configuration again",
		Long: `Let the server read its configuration again and put what differs in force, all of it or nothing, while
pods run on; each difference is printed. A configuration with faults, or with a difference that only a
restart takes over, is refused, and then nothing has changed. With --check the differences are printed and
nothing is changed; it exits with 1 where a reload would be refused. SIGHUP makes the server do the same.`,
		Example: `  cloud reload --check
  cloud reload
  cloud reload -o json`,
		Args: names(),
	}
	cmd.Flags().BoolVar(&check, "check", false, "print what differs, and change nothing")
	cmd.RunE = a.does(func(ctx context.Context, c *client.Client, _ []string) error {
		r, err := c.Reload(ctx, check)
		switch status := client.StatusOf(err); {
		case (status == 409 || status == 422) && check:
			return fmt.Errorf("a reload would be refused: %s", a.explain(err))
		case status == 409 || status == 422:
			return fmt.Errorf("nothing was changed: %s; \"cloud reload --check\" tries it without a change", strings.TrimPrefix(a.explain(err), "nothing was changed: "))
		case err != nil:
			return err
		case a.json():
			err = a.printJSON(r)
		default:
			err = a.printReload(r)
		}
		if err == nil && len(r.NeedsRestart) > 0 {
			err = fmt.Errorf("a reload would be refused: restart the server, or take back what only a restart takes over")
		}
		return err
	})
	return cmd
}

func (a *app) printReload(r wire.Reload) error {
	if len(r.Changed)+len(r.NeedsRestart) == 0 {
		return a.line("Nothing differs: what is in force is what the configuration says.")
	}
	print := func(sign string, paint colour, c wire.ReloadChange) error {
		text := c.Path + ": " + c.From + " → " + c.To
		if c.Note != "" {
			text += " (" + c.Note + ")"
		}
		_, err := fmt.Fprintf(a.out, "%s %s\n", a.out.paint(paint, sign), printable(text))
		return err
	}
	applied := 0
	for _, c := range r.Changed {
		sign, paint := "~", yellow
		if !c.Applied {
			sign, paint = "-", dim // with a note that says why
		} else {
			applied++
		}
		if err := print(sign, paint, c); err != nil {
			return err
		}
	}
	for _, c := range r.NeedsRestart {
		if err := print("!", red, c); err != nil {
			return err
		}
	}
	if !r.DryRun {
		return a.line("%s in force now.", areIs(applied, "difference"))
	}
	if len(r.NeedsRestart) > 0 {
		return nil // the error says it
	}
	return a.line("A reload would put %s in force.", plural(applied, "difference"))
}

// areIs is "1 difference is" or "2 differences are".
func areIs(n int, what string) string {
	if n == 1 {
		return "1 " + what + " is"
	}
	return plural(n, what) + " are"
}
