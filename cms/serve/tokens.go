package serve

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/elastipod/elastipod/cms/api"
)

const (
	minSecret = 16
	tokenLine = `write "name role secret", the role one of viewer, client and operator`
)

// tokens reads the tokens of the configuration and of the token file.
func (r *resolver) tokens() []api.Token {
	var out []api.Token
	for i, t := range r.cfg.Tokens {
		at := fmt.Sprintf("tokens[%d]", i)
		secret := ""
		switch {
		case (t.Env == "") == (t.File == ""):
			r.faults.Add(at, `set "env" or "file"`, "needs exactly one source of its secret")
			continue
		case t.Env != "":
			if secret = r.environ(t.Env); secret == "" {
				r.faults.Add(at+".env", "set the variable", "%s is not in the environment", t.Env)
				continue
			}
		default:
			data, problem, allowed := r.readSecretFile(r.path("", t.File))
			if problem != "" {
				r.faults.Add(at+".file", allowed, "%s", problem)
				continue
			}
			secret = strings.TrimSpace(string(data))
		}
		if problem, allowed := checkToken(t.Name, t.Role, secret, out); problem != "" {
			r.faults.Add(at, allowed, "%s", problem)
			continue
		}
		out = append(out, api.Token{Name: t.Name, Role: api.Role(t.Role), Secret: secret})
	}
	if r.cfg.TokenFile == "" {
		return out
	}
	file := r.path("token_file", r.cfg.TokenFile)
	data, problem, allowed := r.readSecretFile(file)
	if problem != "" {
		r.faults.Add("token_file", allowed, "%s", problem)
		return out
	}
	before := len(out)
	for n, line := range strings.Split(string(data), "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) != 3 {
			r.faults.Add("token_file", tokenLine, "%s:%d: has %d words", file, n+1, len(fields))
			continue
		}
		name, role, secret := fields[0], fields[1], fields[2]
		if variable, ok := strings.CutPrefix(secret, "env:"); ok {
			if secret = r.environ(variable); secret == "" {
				r.faults.Add("token_file", "set the variable", "%s:%d: %s is not in the environment", file, n+1, variable)
				continue
			}
		}
		if problem, allowed := checkToken(name, role, secret, out); problem != "" {
			r.faults.Add("token_file", allowed, "%s:%d: %s", file, n+1, problem)
			continue
		}
		out = append(out, api.Token{Name: name, Role: api.Role(role), Secret: secret})
	}
	if len(out) == before && len(r.faults) == 0 {
		r.faults.Add("token_file", tokenLine, "%s holds no token", file)
	}
	return out
}

// checkToken never repeats the secret.
func checkToken(name, role, secret string, others []api.Token) (problem, allowed string) {
	switch {
	case name == "":
		return "a token has no name", "give it one: logs say who it was"
	case role != string(api.Viewer) && role != string(api.Client) && role != string(api.Operator):
		return fmt.Sprintf("role %.40q of token %.40q is unknown", role, name), "use viewer, client or operator"
	case len(secret) < minSecret:
		return fmt.Sprintf("the secret of token %.40q is %d characters long", name, len(secret)), "use at least 16, such as the output of: openssl rand -hex 24"
	case strings.ContainsFunc(secret, func(c rune) bool { return c <= ' ' || c > '~' }):
		return fmt.Sprintf("the secret of token %.40q holds blanks or characters that a header cannot carry", name), "use visible ASCII, such as the output of: openssl rand -hex 24"
	}
	for _, o := range others {
		if o.Name == name {
			return fmt.Sprintf("token %.40q is there twice", name), "give each token a name of its own"
		}
		if o.Secret == secret {
			return fmt.Sprintf("tokens %.40q and %.40q have the same secret", o.Name, name), "give each a secret of its own"
		}
	}
	return "", ""
}

// readSecretFile reads a file that only its owner may read. systemd guards the
// directory of its credentials, and lets the service's user read them through an
// access list, which shows as rights of the group.
func (r *resolver) readSecretFile(file string) (data []byte, problem, allowed string) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, plainError(err), "name a file that can be read"
	}
	others := fs.FileMode(0o077)
	if dir := r.environ("CREDENTIALS_DIRECTORY"); filepath.IsAbs(dir) && filepath.Dir(file) == filepath.Clean(dir) {
		others = 0o037
	}
	if mode := info.Mode().Perm(); mode&others != 0 {
		return nil, fmt.Sprintf("%s can be read by others (mode %04o)", file, mode), "chmod 600 " + file
	}
	if data, err = os.ReadFile(file); err != nil {
		return nil, plainError(err), "name a file that can be read"
	}
	return data, "", ""
}
