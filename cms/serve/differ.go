package serve

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/api"
	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/internal/fault"
)

// What stands in differences where no value can or should.
const (
	noValue  = "(none)"
	isSecret = "(secret)"
	isSet    = "(set)"
	isNew    = "(new)"
)

// fact is one value of a configuration that is in force, defaults included.
type fact struct {
	path  string
	value string // tells two values apart
	shown string // what a person may see of it
	entry bool   // of a list whose entries have names: the entry itself
}

// facts returns everything that a configuration without faults says, in the
// order of the file. They come from the file's own type, so that no field can be
// forgotten.
func (r *resolver) facts(s *settings) []fact {
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
	f := factList{}
	f.walk("", reflect.ValueOf(c))
	for _, t := range s.tokens {
		at := "tokens[" + t.Name + "]"
		sum := sha256.Sum256([]byte(t.Secret))
		f = append(f,
			fact{path: at, value: isSet, shown: isSet, entry: true},
			fact{path: at + ".role", value: string(t.Role), shown: string(t.Role)},
			fact{path: at + ".secret", value: hex.EncodeToString(sum[:]), shown: isSecret})
	}
	f = append(f, webhookFacts(s.webhooks)...)
	if s.tlsCert != "" {
		if loaded, _, err := readCertificate(s.tlsCert, s.tlsKey); err == nil {
			text := describeCertificate(loaded)
			f = append(f, fact{path: "tls.certificate", value: text, shown: text})
		}
	}
	return f
}

type factList []fact

func (f *factList) add(path, value string) {
	if value == "" || value == "null" {
		return
	}
	*f = append(*f, fact{path: path, value: value, shown: showable(path, value)})
}

// walk adds what a part of the file's type says.
func (f *factList) walk(path string, v reflect.Value) {
	switch {
	case v.Kind() == reflect.Pointer && v.IsNil():
	case v.Kind() == reflect.Struct && hasYAMLFields(v.Type()):
		for i := range v.NumField() {
			field := v.Type().Field(i)
			name := fieldName(field)
			if field.Anonymous {
				f.walk(path, v.Field(i))
			} else if name != "" {
				f.walk(fault.Join(path, name), v.Field(i))
			}
		}
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		for i := range v.Len() {
			at := fmt.Sprintf("%s[%d]", path, i)
			if name := v.Index(i).FieldByName("Name"); name.IsValid() && name.Kind() == reflect.String {
				at = path + "[" + name.String() + "]"
			}
			*f = append(*f, fact{path: at, value: isSet, shown: isSet, entry: true})
			f.walk(at, v.Index(i))
		}
	case v.Kind() != reflect.Bool && v.IsZero(): // was not set
	default:
		f.walkJSON(path, v.Interface())
	}
}

func hasYAMLFields(t reflect.Type) bool {
	for i := range t.NumField() {
		if _, ok := t.Field(i).Tag.Lookup("yaml"); ok {
			return true
		}
	}
	return false
}

// walkJSON adds what a value says that is written as JSON.
func (f *factList) walkJSON(path string, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		f.add(path, fmt.Sprint(v))
		return
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var tree any
	if d.Decode(&tree) == nil {
		f.walkTree(path, tree)
	}
}

func (f *factList) walkTree(path string, v any) {
	switch x := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(x)) {
			if name != "name" && name != "status" {
				f.walkTree(fault.Join(path, name), x[name])
			}
		}
	case []any:
		if len(x) == 0 {
			return
		}
		if _, ok := x[0].(map[string]any); !ok {
			f.add(path, string(mustJSON(x)))
			return
		}
		for i, item := range x {
			at := fmt.Sprintf("%s[%d]", path, i)
			if m, ok := item.(map[string]any); ok {
				if name, ok := m["name"].(string); ok {
					at = path + "[" + name + "]"
				}
			}
			*f = append(*f, fact{path: at, value: isSet, shown: isSet, entry: true})
			f.walkTree(at, item)
		}
	case string:
		f.add(path, x)
	default:
		f.add(path, string(mustJSON(x)))
	}
}

func mustJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // came from JSON
	}
	return data
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

// differ returns what differs between two configurations, in the order of the
// file; of an entry that came or went only that.
func differ(before, after []fact) []wire.ReloadChange {
	old, now := index(before), index(after)
	var out []wire.ReloadChange
	whole := map[string]bool{} // entries that came or went
	within := func(path string) bool {
		for i, c := range path {
			if (c == '.' || c == '[') && whole[path[:i]] {
				return true
			}
		}
		return false
	}
	tell := func(f fact, other map[string]fact, came bool) {
		if within(f.path) {
			return
		}
		was, there := other[f.path]
		if there && (was.value == f.value || !came) {
			return // the same, or told from the other side
		}
		c := wire.ReloadChange{Path: f.path, From: noValue, To: f.shown}
		switch {
		case there:
			c.From = was.shown
		case f.entry && came:
			c.To = isNew
		case !came:
			c.From, c.To = f.shown, noValue
		}
		whole[f.path] = f.entry
		out = append(out, c)
	}
	for _, f := range before {
		tell(f, now, false)
	}
	for _, f := range after {
		tell(f, old, true)
	}
	order := map[string]int{}
	for i, f := range slices.Concat(after, before) {
		if _, ok := order[f.path]; !ok {
			order[f.path] = i
		}
	}
	slices.SortStableFunc(out, func(a, b wire.ReloadChange) int { return order[a.Path] - order[b.Path] })
	return out
}

func index(facts []fact) map[string]fact {
	out := make(map[string]fact, len(facts))
	for _, f := range facts {
		out[f.path] = f
	}
	return out
}
