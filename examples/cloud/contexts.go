package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/elastipod/elastipod/cms/client"
)

// contexts is the file of the clusters that a person works with.
type contexts struct {
	Current  string                   `json:"current,omitempty"`
	Contexts map[string]serverContext `json:"contexts,omitempty"`

	path string
}

// serverContext is how to reach one cluster. At most one of the tokens is set.
type serverContext struct {
	Server    string `json:"server"`
	TokenFile string `json:"token_file,omitempty"`
	TokenEnv  string `json:"token_env,omitempty"`
	Token     string `json:"token,omitempty"`
	Insecure  bool   `json:"insecure,omitempty"`
	CA        string `json:"ca,omitempty"`
}

// secretSource says where the token comes from, and never the token.
func (c serverContext) secretSource() string {
	switch {
	case c.TokenFile != "":
		return "file " + c.TokenFile
	case c.TokenEnv != "":
		return "environment " + c.TokenEnv
	case c.Token != "":
		return "stored"
	}
	return ""
}

// secret returns the token, "" where the context has none.
func (c serverContext) secret() (string, error) {
	switch {
	case c.TokenFile != "":
		return readToken(c.TokenFile)
	case c.TokenEnv != "":
		token := os.Getenv(c.TokenEnv)
		if token == "" {
			return "", fmt.Errorf("token: the environment has no %s, where the context's token should be", c.TokenEnv)
		}
		return token, nil
	}
	return c.Token, nil
}

func readToken(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}

// contextFile returns where contexts are kept.
func contextFile() (string, error) {
	if path := os.Getenv("CLOUD_CONFIG"); path != "" {
		return path, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("contexts: %w; set CLOUD_CONFIG to a file", err)
	}
	return filepath.Join(dir, "elastipod", "cloud.yaml"), nil
}

// readContexts reads the file; none is an empty one.
func readContexts() (contexts, error) {
	var c contexts
	path, err := contextFile()
	if err != nil {
		return c, err
	}
	c.path = path
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, contextFileError(err)
	}
	if err := yaml.UnmarshalWithOptions(data, &c, yaml.Strict()); err != nil {
		return c, fmt.Errorf("contexts: %w", placed(path, err))
	}
	return c, nil
}

// write replaces the file at once, readable by its owner only.
func (c contexts) write() error {
	data, err := yaml.Marshal(c)
	if err != nil {
		return fmt.Errorf("contexts: %w", err)
	}
	dir := filepath.Dir(c.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return contextFileError(err)
	}
	f, err := os.CreateTemp(dir, ".cloud-*") // with mode 0600
	if err != nil {
		return contextFileError(err)
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), c.path)
	}
	if err != nil {
		return contextFileError(errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

// contextFileError says what to do about a file that cannot be read or written.
func contextFileError(err error) error {
	return fmt.Errorf("contexts: %w; set CLOUD_CONFIG to a file that you may write", err)
}

// find returns the context of a name, or an error that names one like it.
func (c contexts) find(name string) (serverContext, error) {
	found, ok := c.Contexts[name]
	if !ok {
		return found, noSuch("context", name, sortedKeys(c.Contexts), "")
	}
	return found, nil
}

// resolve finds out which server is meant, once: --server, --context, CLOUD_SERVER,
// CLOUD_CONTEXT, the context that is in use, or the default, in this order. A
// context's token goes to that context's server only.
func (a *app) resolve() error {
	if a.resolved {
		return nil
	}
	name := a.context
	server := a.server
	if server == "" && name == "" {
		server = os.Getenv("CLOUD_SERVER")
	}
	if server == "" {
		known, err := readContexts()
		if err != nil {
			return err
		}
		if name == "" {
			name = envOr("CLOUD_CONTEXT", known.Current)
		}
		if name != "" {
			if a.from, err = known.find(name); err != nil {
				return err
			}
			if info, err := os.Stat(known.path); err == nil && a.from.Token != "" && info.Mode().Perm()&0o077 != 0 {
				fmt.Fprintf(a.err, "cloud: %s holds a token and others can read it; chmod 600 it\n", known.path)
			}
			server = a.from.Server
		}
	}
	c, err := client.New(client.Config{Server: server})
	if err != nil {
		return usagef("%q is not a server's address; use one such as %s", server, client.DefaultServer)
	}
	a.server, a.resolved = c.Server(), true
	a.insecure = a.insecure || a.from.Insecure
	if a.ca == "" {
		a.ca = a.from.CA
	}
	return nil
}

// secret returns the token, or "".
func (a *app) secret() (string, error) {
	switch {
	case a.token != "":
		return a.token, nil
	case a.tokenFile != "":
		return readToken(a.tokenFile)
	case a.from.secretSource() != "":
		return a.from.secret()
	}
	return os.Getenv("CLOUD_TOKEN"), nil
}
