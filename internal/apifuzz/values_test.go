package apifuzz

import (
	"encoding/json"
	"fmt"
	"strings"
)

// value is JSON to be: an object, a list or a text that is written as it is.
type value interface{ write(*strings.Builder) }

type (
	object []member
	list   []value
	text   string // JSON, or what is to be taken for it
)

// member is a field of an object; a name may be there twice.
type member struct {
	name  string
	value value
}

func (o object) write(b *strings.Builder) {
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(quote(m.name))
		b.WriteByte(':')
		m.value.write(b)
	}
	b.WriteByte('}')
}

func (l list) write(b *strings.Builder) {
	b.WriteByte('[')
	for i, v := range l {
		if i > 0 {
			b.WriteByte(',')
		}
		v.write(b)
	}
	b.WriteByte(']')
}

func (t text) write(b *strings.Builder) { b.WriteString(string(t)) }

func quote(s string) string {
	out, err := json.Marshal(s)
	if err != nil { // strings can be marshalled
		panic(err)
	}
	return string(out)
}

func encode(v value) string {
	var b strings.Builder
	v.write(&b)
	return b.String()
}

// names are what pods, nodes, hosts and fronts are called most of the time, so
// that requests meet.
var names = []string{"web", "web", "web", "api", "api", "db", "a", "a", "b", "light", "nosuch"}

// hostileStrings are sent where a text is expected, and below as values.
var hostileStrings = []string{
	"", " ", "\x00", "\n", "\r\nX-Injected: 1", "../../etc/passwd", "/", ".", "..", "%", "%00", "%2e%2e%2f", "%zz", "-rf", "--help", "$(reboot)", "`id`", "'; drop table pods; --",
	"{{7*7}}", "${jndi:ldap://x}", "<script>alert(1)</script>", "null", "true", "NaN", "Infinity", "-Infinity", "1e309", "0x10", "𝒲𝑒𝒷", "Ω≈ç√∫", "\u202eweb", "\ufeffweb", "\u0000web", "we\u0301b", "🦄🦄🦄",
	"web\u0000", "WEB", "web ", "web;disable server x/y", "web\nshow stat", "a-", "-a", "a--b", "a.b", "a/b", "a\\b", strings.Repeat("a", 40), strings.Repeat("a", 41), strings.Repeat("é", 300), strings.Repeat("x", 5000),
	"127.0.0.1:0", "127.0.0.1:99999", "[::1]:80", "[::]:5100", "0.0.0.0:5100", ":5100", "localhost:80", "127.0.0.1:5100\n bind :1", "unix:///var/run/docker.sock", "tcp://:", "tcp://[::1", "ssh://-oProxyCommand=x", "http://x y",
	"9999999999999999h", "-1s", "0s", "1ns", "2562047h47m16.854775807s", "1e9s", "300m", "1EiB", "-5GiB", "9223372036854775807", "9223372036854775808", "18446744073709551616", "0.1B", "2024-02-30T25:61:61Z", "9999-12-31T23:59:59.999999999Z", "-0001-01-01T00:00:00Z",
}

// hostileTexts are sent where a value is expected.
var hostileTexts = func() []string {
	out := []string{
		"null", "true", "false", "0", "-0", "-1", "1", "1.5", "1e308", "1e309", "-1e309", "1e-400", "9223372036854775807", "9223372036854775808", "-9223372036854775809", "18446744073709551616", "2147483648", "1000", "1001",
		strings.Repeat("9", 400), "0." + strings.Repeat("0", 400) + "1", "1" + strings.Repeat("0", 5000), "[]", "{}", "[[]]", `[null]`, `{"":""}`, `{"a":{"a":{"a":{"a":{}}}}}`, `""`, `"\ud800"`, `"\u0000"`,
		strings.Repeat("[", 60) + strings.Repeat("]", 60), strings.Repeat("[", 70) + strings.Repeat("]", 70), strings.Repeat(`{"a":`, 63) + "1" + strings.Repeat("}", 63), `[` + strings.Repeat("1,", 3000) + `1]`,
		// What is no JSON at all.
		"NaN", "Infinity", "undefined", "01", "+1", ".5", "1.", "'web'", `"\x"`, "\"\xff\xfe\"", "\"\n\"", "{", "[", "]", ",", "", "\x00", "tru", "//", `{"a":1,}`, `{"a":1,"a":2}`, strings.Repeat("[", 20000),
	}
	for _, s := range hostileStrings {
		out = append(out, quote(s))
	}
	return out
}()

// field returns a value that a field of that name may have, as a person would
// write it; "" where nothing is known of it.
func field(g *Generator, name string) string {
	switch name {
	case "name", "pod", "node", "host", "hosts", "webhook":
		return pick(g, names)
	case "image":
		return pick(g, []string{"nginx:1.27", "ghcr.io/a/b@sha256:" + strings.Repeat("0", 64), "web"})
	case "command", "entrypoint":
		return pick(g, []string{"/web", "sleep", "1"})
	case "listen":
		return fmt.Sprintf("127.0.0.1:%d", 5100+g.IntN(20))
	case "port", "probe", "ports":
		return pick(g, []string{"http", "http", "admin"})
	case "http", "check_path":
		return pick(g, []string{"/healthz", "/?a=b"})
	case "address":
		return pick(g, []string{"", "unix:///run/docker.sock", "tcp://10.0.0.1:2376", "ssh://me@far"})
	case "bind", "advertise":
		return pick(g, []string{"127.0.0.1", "10.0.0.5", "::1"})
	case "runtime":
		return pick(g, []string{"docker", "process"})
	case "target", "file", "ca", "cert", "key", "password_file":
		return pick(g, []string{"/data", "/run/x"})
	case "env", "password_env":
		return "TOKEN"
	case "user":
		return "1000:1000"
	case "cap_add":
		return "NET_BIND_SERVICE"
	case "wait":
		return pick(g, []string{"10ms", "1s", "1m", "10m"})
	case "after", "Last-Event-ID", "tail", "limit":
		return fmt.Sprint(1 + g.IntN(50))
	case "since":
		return "2026-01-02T15:04:05Z"
	case "types":
		return pick(g, []string{"pod", "node.ready", "tick"})
	}
	return ""
}

// policies are settings of the kinds that are built in, and one of none.
var policies = []string{
	`{"kind":"threshold","lower":0.3,"upper":0.7}`, `{"kind":"threshold","lower":0.3,"upper":0.7}`,
	`{"kind":"cooldown","down":"60s","policy":{"kind":"threshold","lower":0.3,"upper":0.7}}`, `{"kind":"nosuch"}`, `{"kind":"cooldown"}`, `{"kind":"threshold","lower":0.65,"upper":0.7}`,
}
