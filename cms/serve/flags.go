package serve

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// flags are the command line. Those that were given go before the file.
type flags struct {
	config               string
	demo, check, version bool
	given                map[string]string // values by name
}

// textFlags and switches are the flags that set fields of the configuration.
func textFlags(c *fileConfig) map[string]*string {
	return map[string]*string{
		"listen": &c.Listen, "data": &c.Data, "stack": &c.Stack, "token-file": &c.TokenFile, "tls-cert": &c.TLS.Cert, "tls-key": &c.TLS.Key,
		"log-format": &c.Log.Format, "log-level": &c.Log.Level, "workload-binary": &c.WorkloadBinary,
	}
}

func switches(c *fileConfig) map[string]*bool {
	return map[string]*bool{"insecure": &c.Insecure, "stop-nodes": &c.StopNodes, "take-over": &c.TakeOver}
}

// override puts the flags that were given over the file.
func (f flags) override(c *fileConfig) {
	texts, on := textFlags(c), switches(c)
	for name, value := range f.given {
		if texts[name] != nil {
			*texts[name] = value
		}
		if on[name] != nil {
			*on[name] = value == "true"
		}
	}
}

// forField returns the flag that sets a field, "" where none does, and whether it
// was given. It is called as the field is.
func (f flags) forField(path string) (name string, given bool) {
	name = strings.NewReplacer(".", "-", "_", "-").Replace(path)
	if textFlags(&fileConfig{})[name] == nil && switches(&fileConfig{})[name] == nil {
		return "", false
	}
	_, given = f.given[name]
	return name, given
}

const usageText = `server runs elastic pods behind a load balancer.

usage: server [flags]

  --config FILE           YAML configuration; flags go before it
  --listen ADDRESS        of the API (default 127.0.0.1:3000)
  --data DIR              store and state (default: the user's state directory)
  --stack KIND            embedded: processes and an in-process proxy (default)
                          docker: containers and HAProxy
` + demoUsage + `  --check                 check the configuration, and end
  --stop-nodes            end nodes and HAProxy when the server ends
  --take-over             after a lost store: go on with the nodes that are there
  --token-file FILE       lines of "name role secret", mode 0600
  --tls-cert FILE         PEM certificate of the API
  --tls-key FILE          and its key
  --insecure              allow other machines without token or TLS
  --workload-binary FILE  static program for the image of the default pods
  --log-format FORMAT     text (default) or json
  --log-level LEVEL       debug, info (default), warn or error
  --version               print the version, and end

example: server --stack docker --data /var/lib/elastipod
`

const demoUsage = "  --demo                  create pods, send a wave of load, show the decisions\n"

// parseFlags reads the command line. The error is [flag.ErrHelp] where help was
// asked for, or says which flag is wrong. Not every program has a demo.
func parseFlags(args []string, demo bool) (flags, error) {
	f := flags{given: map[string]string{}}
	set := flag.NewFlagSet("server", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&f.config, "config", "", "")
	set.BoolVar(&f.check, "check", false, "")
	set.BoolVar(&f.version, "version", false, "")
	for name, target := range textFlags(&fileConfig{}) {
		set.StringVar(target, name, "", "")
	}
	for name, target := range switches(&fileConfig{}) {
		set.BoolVar(target, name, false, "")
	}
	if demo {
		set.BoolVar(&f.demo, "demo", false, "")
	}
	if err := set.Parse(args); err != nil {
		return f, flagError(err, set)
	}
	if set.NArg() > 0 {
		return f, fmt.Errorf("%q is not a flag; flags begin with --, see server --help", set.Arg(0))
	}
	var empty []string
	set.Visit(func(x *flag.Flag) {
		f.given[x.Name] = x.Value.String()
		if x.Value.String() == "" {
			empty = append(empty, x.Name)
		}
	})
	if len(empty) > 0 {
		return f, fmt.Errorf("--%s: is empty; give it a value, or leave it out", empty[0])
	}
	return f, nil
}

// flagError says which flag was meant.
func flagError(err error, set *flag.FlagSet) error {
	name, unknown := strings.CutPrefix(err.Error(), "flag provided but not defined: -")
	switch {
	case errors.Is(err, flag.ErrHelp):
		return err
	case !unknown:
		return fmt.Errorf("%w; see server --help", err)
	}
	var names []string
	set.VisitAll(func(x *flag.Flag) { names = append(names, "--"+x.Name) })
	name = "--" + strings.TrimLeft(name, "-")
	return fmt.Errorf("%s: is not a flag; %s", name, suggest(name, names))
}
