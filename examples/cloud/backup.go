package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/elastipod/elastipod/cms/client"
	"github.com/elastipod/elastipod/cms/wire"
)

func (a *app) backupCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write a backup of the server's store to a file",
		Long: `Write a backup of the server's store to a file while everything goes on: pods with what they run, nodes,
hosts, elasticity and wanted numbers, as of one moment. The file may be put in place of a lost store while
the server is stopped, or given to "cloud restore". It holds the environment of workloads, so it is made
readable for its owner only; a file that is there already is replaced only with --force. With - as FILE
the backup goes to standard output. The role operator is needed.`,
		Example: `  cloud backup elastipod-monday.db
  cloud backup - | gzip > elastipod-monday.db.gz`,
		Args: names("FILE"),
	}
	cmd.ValidArgsFunction = anyFile
	cmd.Flags().BoolVar(&force, "force", false, "replace a file that is there already")
	cmd.RunE = a.does(func(ctx context.Context, c *client.Client, args []string) error {
		if args[0] == "-" {
			_, err := c.Backup(ctx, a.out)
			return err
		}
		n, err := backupTo(ctx, c, args[0], force)
		if err != nil {
			return err
		}
		return a.tell(map[string]any{"file": args[0], "bytes": n}, "Backup of %d bytes in %s. It holds the environment of workloads: keep it as you keep secrets.", n, args[0])
	})
	return cmd
}

// anyFile completes names of files.
func anyFile(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}

// backupTo writes a backup to a file, whole or not at all.
func backupTo(ctx context.Context, c *client.Client, path string, force bool) (n int64, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".new-*") // mode 0600
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone where it got its name
	if n, err = c.Backup(ctx, f); err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return 0, err
	}
	if force {
		return n, os.Rename(f.Name(), path)
	}
	if err := os.Link(f.Name(), path); errors.Is(err, os.ErrExist) {
		return 0, fmt.Errorf("%s is there already; choose another name, or replace it with --force", path)
	} else if err != nil {
		return 0, err
	}
	return n, nil
}

func (a *app) restoreCommand() *cobra.Command {
	var o client.RestoreOptions
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make pods and hosts be as in a backup",
		Long: `Make pods and hosts be as in a backup, while everything goes on. A pod that is in both is changed to what
it was, as its update says; one that is only in the backup is created; one that is not in it is drained and
deleted. Nodes stay those that run; a pod that scales by itself keeps its number inside the bounds of then.
Hosts that are not in the backup stay. All of the backup is checked before anything is changed, and the
server keeps a copy of its store as it was. It exits with 1 where something could not be done; once that is
mended, restore again. With --dry-run it only tells what it would do. With - as FILE the backup comes from
standard input. The role operator is needed.`,
		Example: `  cloud restore elastipod-monday.db --dry-run
  cloud restore elastipod-monday.db
  gunzip < elastipod-monday.db.gz | cloud restore -`,
		Args: names("FILE"),
	}
	cmd.ValidArgsFunction = anyFile
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "tell what would be done, and change nothing")
	cmd.Flags().BoolVar(&o.AnyCluster, "any-cluster", false, "take a backup of another cluster")
	cmd.RunE = a.does(func(ctx context.Context, c *client.Client, args []string) error {
		var in io.Reader = a.in
		if args[0] != "-" {
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			in = f
		}
		r, err := c.Restore(ctx, in, o)
		if err != nil {
			return err
		}
		if a.json() {
			err = a.printJSON(r)
		} else {
			err = a.printRestore(r)
		}
		if err == nil && len(r.Problems) > 0 {
			err = fmt.Errorf("not all could be done; mend it and restore again")
		}
		return err
	})
	return cmd
}

func (a *app) printRestore(r wire.Restore) error {
	would := ""
	if r.DryRun {
		would = "would be "
	}
	for _, x := range []struct {
		sign  string
		paint colour
		what  string
		names []string
	}{
		{"+", green, "host %s " + would + "added", r.Hosts},
		{"+", green, "pod %s " + would + "created", r.Created},
		{"~", yellow, "pod %s " + would + "changed", r.Updated},
		{"-", red, "pod %s " + would + "drained and deleted", r.Deleted},
		{"!", red, "%s", r.Problems},
	} {
		for _, name := range x.names {
			if _, err := fmt.Fprintf(a.out, "%s %s\n", a.out.paint(x.paint, x.sign), printable(fmt.Sprintf(x.what, name))); err != nil {
				return err
			}
		}
	}
	if len(r.Hosts)+len(r.Created)+len(r.Updated)+len(r.Deleted)+len(r.Problems) == 0 {
		return a.line("Nothing differs from the backup.")
	}
	if r.DryRun {
		return a.line("%s as in the backup already.", areIs(len(r.Unchanged), "pod"))
	}
	return a.line("The store as it was before is kept on the server as %s.", r.Kept)
}
