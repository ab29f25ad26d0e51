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
	config, listen, data, stack, tokenFile, tlsCert, tlsKey string
	logFormat, logLevel, workloadBinary                     string
	demo, check, stopNodes, takeOver, insecure, version     bool
	given                                                   map[string]bool
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
	f := flags{given: map[string]bool{}}
	set := flag.NewFlagSet("server", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	for name, target := range map[string]*string{
		"config": &f.config, "listen": &f.listen, "data": &f.data, "stack": &f.stack, "token-file": &f.tokenFile,
		"tls-cert": &f.tlsCert, "tls-key": &f.tlsKey, "log-format": &f.logFormat, "log-level": &f.logLevel,
		"workload-binary": &f.workloadBinary,
	} {
		set.StringVar(target, name, "", "")
	}
	for name, target := range map[string]*bool{
		"check": &f.check, "stop-nodes": &f.stopNodes, "take-over": &f.takeOver, "insecure": &f.insecure, "version": &f.version,
	} {
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
		f.given[x.Name] = true
		if x.Value.String() == "" {
			empty = append(empty, x.Name)
		}
	})
	if len(empty) > 0 {
		return f, fmt.Errorf("--%s: is empty; give it a value, or leave it out", empty[0])
	}
	return f, nil
}

// flagError words an error of the flag package as the others.
func flagError(err error, set *flag.FlagSet) error {
	if errors.Is(err, flag.ErrHelp) {
		return err
	}
	text := err.Error()
	if name, ok := strings.CutPrefix(text, "flag provided but not defined: -"); ok {
		var names []string
		set.VisitAll(func(x *flag.Flag) { names = append(names, "--"+x.Name) })
		return fmt.Errorf("--%s: is not a flag; %s", strings.TrimLeft(name, "-"), suggest("--"+strings.TrimLeft(name, "-"), names))
	}
	if name, ok := strings.CutPrefix(text, "flag needs an argument: -"); ok {
		return fmt.Errorf("--%s: has no value; see server --help", strings.TrimLeft(name, "-"))
	}
	if _, rest, ok := strings.Cut(text, "invalid boolean value "); ok {
		value, name, _ := strings.Cut(rest, " for -")
		name, _, _ = strings.Cut(name, ":")
		return fmt.Errorf("--%s: %s is not true or false; leave out the value", name, value)
	}
	return fmt.Errorf("%s; see server --help", text)
}
