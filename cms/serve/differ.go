package serve

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/api"
	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/internal/difference"
)

// What stands in differences where no value can or should.
const (
	noValue  = "(none)"
	isSecret = "(secret)"
	isSet    = "(set)"
	isNew    = "(new)"
)

// effective returns everything that a configuration without faults says, with
// the defaults, as the file would say it. Secrets are there as their hashes. It
// comes from the file's own type, so that no field can be forgotten.
func (r *resolver) effective(s *settings) (map[string]any, error) {
	c := r.cfg
	c.Listen, c.Stack, c.Data = s.listen, s.stack, s.data
	c.Log.Format, c.Log.Level = "text", strings.ToLower(s.logLevel.String())
	if s.logJSON {
		c.Log.Format = "json"
	}
	c.TLS.Cert, c.TLS.Key = s.tlsCert, s.tlsKey
	c.Tick = cmp.Or(c.Tick, wire.Duration(cms.DefaultTick))
	c.HostTimeout = cmp.Or(c.HostTimeout, wire.Duration(cms.DefaultHostTimeout))
	c.StartParallel = cmp.Or(c.StartParallel, cms.DefaultStartParallel)
	if c.KeepImages == nil {
		keep := cms.DefaultKeepImages
		c.KeepImages = &keep
	}
	c.History = cmp.Or(c.History, cms.DefaultHistory)
	c.StopTimeout = wire.Duration(s.stopTimeout)
	c.WorkloadBinary, c.HAProxy.SocketDir, c.Process.WorkDir = s.workloadBinary, s.haproxy.socketDir, s.process.workDir
	c.Hosts = nil
	for _, h := range s.hosts {
		c.Hosts = append(c.Hosts, api.HostSettings(h.WithDefaults()))
	}
	c.Pods = slices.Clone(c.Pods)
	for i, p := range s.pods {
		c.Pods[i].Pod = api.PodSettings(p.spec.WithDefaults())
	}
	c.DefaultPods = nil
	for _, p := range s.defaultPods {
		c.DefaultPods = append(c.DefaultPods, api.PodSettings(p.WithDefaults()))
	}
	c.Audit.File = s.auditFile
	c.Tokens, c.TokenFile = nil, "" // what they come to is below
	tree, err := difference.Tree(c)
	if err != nil {
		return nil, err
	}
	var tokens []any
	for _, t := range s.tokens {
		tokens = append(tokens, map[string]any{"name": t.Name, "role": string(t.Role), "secret": hashOf(t.Secret)})
	}
	tree["tokens"] = tokens
	for i, t := range s.webhooks {
		tree["webhooks"].([]any)[i].(map[string]any)["secret"] = hashOf(strings.Join(t.Secrets, " "))
	}
	if s.tlsCert != "" {
		if loaded, _, err := readCertificate(s.tlsCert, s.tlsKey); err == nil {
			tree["tls"].(map[string]any)["certificate"] = describeCertificate(loaded)
		}
	}
	return tree, nil
}

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// differ returns what differs between two configurations; of an entry that came
// or went only that.
func differ(before, after map[string]any) []wire.ReloadChange {
	var out []wire.ReloadChange
	for _, c := range difference.Between(before, after) {
		out = append(out, wire.ReloadChange{Path: c.Path, From: shown(c.Path, c.From, isSet), To: shown(c.Path, c.To, isNew)})
	}
	return out
}

// shown returns what a person may see of a value. A group of fields is as given.
func shown(path string, v any, group string) string {
	switch v := v.(type) {
	case nil:
		return noValue
	case map[string]any:
		return group
	case string:
		return showable(path, v)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return showable(path, string(text))
}

// showable returns what a person may see of a value: nothing of what may be a
// secret, and no more of it than it takes.
func showable(path, value string) string {
	parts := strings.Split(path, ".")
	last := strings.ToLower(parts[len(parts)-1])
	for _, p := range parts[:len(parts)-1] {
		if p == "env" || p == "headers" {
			return isSecret
		}
	}
	if !strings.HasSuffix(last, "file") && !strings.HasSuffix(last, "env") {
		for _, word := range []string{"secret", "password", "passphrase", "credential"} {
			if strings.Contains(last, word) {
				return isSecret
			}
		}
	}
	if u, err := url.Parse(value); err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https") {
		if u.User != nil || u.RawQuery != "" || len(u.Path) > 1 {
			return u.Scheme + "://" + u.Host + "/" + isSecret // addresses of webhooks are secrets
		}
	}
	if text := []rune(value); len(text) > 200 {
		return string(text[:200]) + "…"
	}
	return value
}
