package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"
)

//go:generate go run . docs markdown .

// referenceFile is what "cloud docs markdown" writes.
const referenceFile = "REFERENCE.md"

func (a *app) docsCommand() *cobra.Command {
	man := &cobra.Command{
		Use:   "man DIR",
		Short: "Write a man page of each command",
		Long: `Write a man page of each command into a folder, which is made where it is missing. Their date is that of
the environment's SOURCE_DATE_EPOCH (seconds since 1970), or of the commit that this command was built of.`,
		Example: `  cloud docs man /usr/local/share/man/man1`,
		Args:    names("DIR"),
	}
	man.RunE = func(cmd *cobra.Command, args []string) error {
		a.running = true
		date, err := docsDate()
		if err != nil {
			return err
		}
		if err := os.MkdirAll(args[0], 0o755); err != nil {
			return err
		}
		root := cmd.Root()
		root.DisableAutoGenTag = true
		if err := doc.GenManTree(root, &doc.GenManHeader{
			Section: "1", Date: &date, Source: "cloud " + ownVersion(), Manual: "elastipod",
		}, args[0]); err != nil {
			return fmt.Errorf("write man pages: %w", err)
		}
		return a.wrote("man pages", args[0])
	}
	markdown := &cobra.Command{
		Use:     "markdown DIR",
		Short:   "Write the reference of all commands",
		Long:    `Write ` + referenceFile + `, the reference of all commands in Markdown, into a folder.`,
		Example: `  cloud docs markdown examples/cloud`,
		Args:    names("DIR"),
	}
	markdown.RunE = func(cmd *cobra.Command, args []string) error {
		a.running = true
		if err := os.MkdirAll(args[0], 0o755); err != nil {
			return err
		}
		path := filepath.Join(args[0], referenceFile)
		if err := os.WriteFile(path, reference(cmd.Root()), 0o644); err != nil {
			return err
		}
		return a.wrote("reference", path)
	}
	cmd := group("docs", "Write the manual of this command",
		`Write what "--help" of each command says as man pages, or as one file in Markdown.`,
		`  cloud docs man /usr/local/share/man/man1`, man, markdown)
	cmd.Hidden = true
	return cmd
}

// wrote says what was written, and where.
func (a *app) wrote(what, path string) error {
	if a.json() {
		return a.printJSON(map[string]string{"path": path})
	}
	return a.line("The %s: %s", what, path)
}

// docsDate is the date of man pages: the same for the same source.
func docsDate() (time.Time, error) {
	if epoch := os.Getenv("SOURCE_DATE_EPOCH"); epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return time.Time{}, usagef("SOURCE_DATE_EPOCH %q is not a number of seconds since 1970", epoch)
		}
		return time.Unix(seconds, 0).UTC(), nil
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if t, err := time.Parse(time.RFC3339, s.Value); s.Key == "vcs.time" && err == nil {
				return t, nil
			}
		}
	}
	return time.Now(), nil
}

// reference renders every command that is not hidden, in one page.
func reference(root *cobra.Command) []byte {
	var b bytes.Buffer
	var all []*cobra.Command
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		c.InitDefaultHelpFlag()
		all = append(all, c)
		for _, sub := range c.Commands() {
			if !sub.Hidden && sub.Name() != "help" {
				walk(sub)
			}
		}
	}
	walk(root)
	fmt.Fprintf(&b, "# The commands of %s\n\n", root.Name())
	b.WriteString("<!-- Made by \"go generate ./examples/cloud\"; do not edit. -->\n\n")
	fmt.Fprintf(&b, "%s\n\n%s", markdownText(root.Long), exampleBlock(root.Example))
	b.WriteString("| command | what it does |\n|---|---|\n")
	for _, c := range all[1:] {
		if !c.HasAvailableSubCommands() {
			fmt.Fprintf(&b, "| [%s](#%s) | %s |\n", c.CommandPath(), anchor(c), markdownText(c.Short))
		}
	}
	b.WriteString("\n## Flags of every command\n\n")
	flagTable(&b, root.PersistentFlags())
	for _, c := range all[1:] {
		if c.HasAvailableSubCommands() {
			continue // its words are those of its parts
		}
		section(&b, c)
	}
	return b.Bytes()
}

func section(b *bytes.Buffer, c *cobra.Command) {
	fmt.Fprintf(b, "\n## %s\n\n%s.\n\n", c.CommandPath(), markdownText(c.Short))
	fmt.Fprintf(b, "    %s\n\n%s\n\n", strings.TrimSuffix(c.UseLine(), " [flags]"), markdownText(c.Long))
	if len(c.Aliases) > 0 {
		fmt.Fprintf(b, "Also: %s.\n\n", strings.Join(c.Aliases, ", "))
	}
	b.WriteString(exampleBlock(c.Example))
	if flags := c.LocalNonPersistentFlags(); hasFlags(flags) {
		flagTable(b, flags)
		b.WriteString("\n")
	}
	b.Truncate(len(bytes.TrimRight(b.Bytes(), "\n")) + 1)
}

// documented calls f for each flag that is worth a line.
func documented(flags *pflag.FlagSet, f func(*pflag.Flag)) {
	flags.VisitAll(func(x *pflag.Flag) {
		if !x.Hidden && x.Name != "help" {
			f(x)
		}
	})
}

func hasFlags(flags *pflag.FlagSet) bool {
	n := 0
	documented(flags, func(*pflag.Flag) { n++ })
	return n > 0
}

func flagTable(w io.Writer, flags *pflag.FlagSet) {
	fmt.Fprint(w, "| flag | default | what it does |\n|---|---|---|\n")
	documented(flags, func(f *pflag.Flag) {
		name := "`--" + f.Name + "`"
		if f.Shorthand != "" {
			name = "`-" + f.Shorthand + "`, " + name
		}
		otherwise := ""
		switch f.DefValue {
		case "", "0", "[]", "false", "0s":
		default:
			otherwise = "`" + f.DefValue + "`"
		}
		fmt.Fprintf(w, "| %s | %s | %s |\n", name, otherwise, markdownText(f.Usage))
	})
}

func exampleBlock(text string) string {
	var b strings.Builder
	b.WriteString("```sh\n")
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimPrefix(line, "  "))
	}
	b.WriteString("\n```\n\n")
	return b.String()
}

// anchor is how a page names a section.
func anchor(c *cobra.Command) string {
	return strings.ToLower(strings.ReplaceAll(c.CommandPath(), " ", "-"))
}

// markdownText keeps Markdown from reading signs into a text.
func markdownText(text string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "_", `\_`, "<", "&lt;", "|", `\|`, "`", "\\`").Replace(text)
}
