package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/elastipod/elastipod/cms/client"
)

func (a *app) whoamiCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "whoami",
		Short: "Say whom the server takes you for",
		Long: `Print the name and the role of your token: a viewer reads, a client may also use pods, and an operator may
change everything. A server that asks for no token lets everybody operate.`,
		Example: `  cloud whoami
  cloud whoami --context prod -o json`,
		Args: names(),
		RunE: a.does(func(ctx context.Context, c *client.Client, _ []string) error {
			w, err := c.WhoAmI(ctx)
			if err != nil {
				return err
			}
			if !w.SignIn {
				return a.tell(w, "%s asks for no token: everybody may do everything.", a.server)
			}
			return a.tell(w, "You are %s, with the role %s, at %s.", w.Name, w.Role, a.server)
		}),
	}
}
