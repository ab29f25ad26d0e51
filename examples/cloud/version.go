package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/elastipod/elastipod/cms/client"
)

// versions is what "cloud version" prints as JSON.
type versions struct {
	Client string `json:"client"`
	Go     string `json:"go"`
	Server string `json:"server,omitempty"`
	URL    string `json:"url"`
	Error  string `json:"error,omitempty"`
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the versions of this command and of the server",
		Long: `Print the version of this command, and that of the server if it answers within two seconds. That it
does not is no failure.`,
		Example: `  cloud version
  cloud version -o json`,
		Args: names(),
		RunE: a.does(func(ctx context.Context, c *client.Client, _ []string) error {
			v := versions{Client: ownVersion(), Go: runtime.Version(), URL: a.server}
			ask, cancel := context.WithTimeout(ctx, 2*time.Second)
			defer cancel()
			cluster, err := c.Cluster(ask)
			if err != nil {
				v.Error = oneLine(a.explain(err))
			} else {
				v.Server = cluster.Version
			}
			if a.json() {
				return a.printJSON(v)
			}
			if err := a.line("cloud %s (%s)", v.Client, v.Go); err != nil {
				return err
			}
			if v.Error != "" {
				return a.line("server: %s", v.Error)
			}
			return a.line("server %s at %s, cluster %s (%s)", v.Server, v.URL, cluster.Name, cluster.ID)
		}),
	}
}

// ownVersion is the version that this program was built as.
func ownVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "dev"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	return "dev"
}
