package main

import (
	"context"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

var haproxyVersion = regexp.MustCompile(`(?i)haproxy version ((\d+)\.(\d+)\S*)`)

// examineHAProxy looks at the program that the server would start.
func examineHAProxy(ctx context.Context, d *diagnosis, program string) {
	const about = "HAProxy"
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, "-vv").Output()
	if err != nil {
		d.warn(about, "install it (Debian package haproxy), name it with --haproxy, or use the server's own balancer", "%s cannot be run: %s", program, innermost(err))
		return
	}
	m := haproxyVersion.FindStringSubmatch(string(out))
	if m == nil {
		d.warn(about, "name HAProxy's program with --haproxy", "%s does not tell a version", program)
		return
	}
	major, _ := strconv.Atoi(m[2]) // digits
	minor, _ := strconv.Atoi(m[3])
	if major < 2 || major == 2 && minor < 6 {
		d.wrong(about, "install 2.6 or newer", "%s is %s: it cannot take servers while it runs", program, m[1])
		return
	}
	var features []string
	for line := range strings.Lines(string(out)) {
		if list, ok := strings.CutPrefix(line, "Feature list :"); ok {
			features = strings.Fields(list)
		}
	}
	for _, x := range [][2]string{{"THREAD", "it uses one core only"}, {"EPOLL", "many connections cost much CPU"}} {
		if len(features) > 0 && !slices.Contains(features, "+"+x[0]) {
			d.warn(about, "install a build with it, such as Debian's", "%s was built without %s: %s", m[1], x[0], x[1])
		}
	}
	has := func(feature string) string {
		return map[bool]string{true: "with ", false: "without "}[slices.Contains(features, "+"+feature)] + feature
	}
	d.ok(about, "%s, %s, %s, %s", m[1], has("THREAD"), has("OPENSSL"), has("PROMEX"))
	for line := range strings.Lines(string(out)) {
		if status, ok := strings.CutPrefix(line, "Status: "); ok && strings.Contains(status, "end of life") {
			d.warn(about, "install a release that is maintained", "%s", status)
		}
	}
}
