package haproxy

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
)

// Whatever HAProxy, or who sits on its sockets, says is read without a panic, and
// what is read can be told from what is not.

const (
	seedStats   = statHeader + "web,FRONTEND,,,3,5,9000,12,1,1,0,0,0,,,,,OPEN,,0,2,13,,,\nweb,n1,1,0,2,1,,7,1,1,,0,,0,4,0,0,UP 1/3,100,2,1,,5,127.0.0.1:80,\n"
	seedInfo    = "Name: HAProxy\nPid: 7\nVersion: 2.6.12\nUptime_sec: 5\ndescription: elastipod ab12 4\n"
	seedServers = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_port\n3 web 5000 n1 127.0.0.1 2 0 100 100 5191\n"
	seedProc    = "#<PID>          <type>          <reloads>       <uptime>        <version>\n1 master 3 [failed: 2] 0d00h00m08s 2.6.12\n# workers\n2 worker 0 0d00h00m08s 2.6.12\n" +
		"# old workers\n3 worker 1 0d00h00m18s 2.6.12\n"
	seedSessions = "0x7f47700386d0: proto=tcpv4 src=127.0.0.1:48216 fe=web be=web srv=n.2 ts=00 age=1s\n0x7f4770038700: proto=unix_stream src=unix:1 fe=GLOBAL be=<NONE> srv=<none>\n"
)

// FuzzStatistics reads "show stat" as of the newest worker and of an old one, and
// makes of it what callers see.
func FuzzStatistics(f *testing.F) {
	data, err := os.ReadFile("testdata/show-stat-2.6.12.csv")
	require.NoError(f, err)
	f.Add(string(data), seedInfo+seedStats)
	f.Add(seedStats, seedStats)
	f.Add("# pxname,\"\n\x00,,,", statHeader+"web,\"n\"\"1\",x\n")
	f.Add(strings.ReplaceAll(seedStats, ",3,5,", ",2147483647,5,"), strings.ReplaceAll(seedStats, ",12,", ",9223372036854775807,"))
	f.Fuzz(func(t *testing.T, newest, old string) {
		var workers []worker
		for i, out := range []string{newest, old} {
			w, err := parseWorker(i+1, out)
			if err != nil {
				require.ErrorIs(t, err, errStats)
				assert.Empty(t, w.rows)
				return
			}
			w.old = i > 0
			workers = append(workers, w)
		}
		fr := &front{Front: balancer.Front{Name: "web"}, incarnation: incarnation{inc: 1}, servers: map[string]server{
			"n1": {Server: balancer.Server{Name: "n1", Addr: "127.0.0.1:80", State: balancer.Drain}, incarnation: incarnation{inc: 2}},
		}}
		b := &Balancer{totals: newTotals(), lat: newLatencies(nil)}
		var before balancer.FrontStats
		for range 2 {
			b.totals.add(map[string]*front{"web": fr}, workers)
			st := b.frontStats(fr, workers)
			require.Len(t, st.Servers, 1)
			for _, n := range []int{st.InFlight, st.Waiting, st.Servers[0].InFlight} {
				assert.GreaterOrEqual(t, n, 0)
			}
			assert.GreaterOrEqual(t, st.Requests, before.Requests, "counters never fall")
			assert.GreaterOrEqual(t, st.Errors, before.Errors)
			before, workers = st, workers[:1] // the old worker ends
		}
	})
}

func FuzzServers(f *testing.F) {
	f.Add(seedServers)
	f.Add(seedServers + "3 web 77 n.2 ::1 0 8 40 0 5192\n4 api 1 x - 2 1 1 1 0\n")
	f.Add(strings.ReplaceAll(seedServers, "5000", "-5000"))
	f.Fuzz(func(t *testing.T, out string) {
		all, err := parseServers(out)
		if err != nil {
			assert.Nil(t, all)
			return
		}
		assert.Contains(t, out, "# ", "columns were named")
		b := &Balancer{fronts: map[string]*front{}}
		for name, servers := range all {
			assert.NotEmpty(t, name)
			b.fronts[name] = &front{Front: balancer.Front{Name: name}, servers: map[string]server{}}
			for srv, r := range servers {
				assert.NotEmpty(t, srv)
				assert.GreaterOrEqual(t, r.id, 0)
				assert.GreaterOrEqual(t, r.weight, 0)
				assert.Contains(t, out, strconv.Itoa(r.weight))
			}
		}
		b.adopt(all)
		for name, fr := range b.fronts {
			assert.Len(t, fr.servers, len(all[name]))
		}
	})
}

func FuzzReplies(f *testing.F) {
	for _, seed := range []string{seedInfo, seedProc, seedSessions, "web 12 400\n", "web -1 -\n", "Unknown command\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, out string) {
		if i := parseInfo(out); i.id != "" {
			assert.Equal(t, []string{"elastipod", i.id}, strings.Fields(i.description)[:2])
		}
		p := parseProc(out)
		for _, pid := range append(slices.Clone(p.workers), p.old...) {
			assert.Positive(t, pid, "a signal to it reaches one process")
		}
		assert.GreaterOrEqual(t, p.master, 0)
		for line := range strings.Lines(out) {
			if id, _, _, ok := parseSession(line); ok {
				assert.Regexp(t, "^0x[0-9a-fA-F]+$", id, "it is put into a command")
			}
		}
		if front, millis, every, ok := parseLogLine([]byte(out)); ok {
			assert.NotEmpty(t, front)
			assert.True(t, millis >= 0 && millis <= latencyMax)
			assert.Positive(t, every)
		}
	})
}
