package haproxy

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// Whatever HAProxy, or who sits on its sockets, says is read without a panic, and
// what is read can be told from what is not.
func FuzzReplies(f *testing.F) {
	const header = "# pxname,svname,qcur,qmax,scur,stot,status,type,addr,req_tot,hrsp_5xx,eresp,srv_abrt,\n"
	f.Add(header + "web,FRONTEND,,,3,9,OPEN,0,,9,1,0,0,\nweb,n1,0,0,1,5,UP,2,127.0.0.1:80,5,0,0,0,\n")
	f.Add(header + "web,\"n\"\"1\",x\n")
	f.Add("Name: HAProxy\nVersion: 2.6.12\nUptime_sec: 5\nCurrConns: 1\n")
	f.Add("#<PID>          <type>          <reloads>       <uptime>        <version>\n1 master 0 0d00h00m08s 2.6.12\n# workers\n2 worker 0 0d00h00m08s 2.6.12\n# old workers\n3 worker 1 0d00h00m18s 2.6.12\n")
	f.Add("<134>haproxy: web 12 3 400 5 200 1024")
	f.Fuzz(func(t *testing.T, out string) {
		if rows, err := parseStats(out); err != nil {
			assert.Nil(t, rows)
		}
		parseInfo(out)
		parseProc(out)
		_, _ = parseWorker(1, out)
		if front, millis, every, ok := parseLogLine([]byte(out)); ok {
			assert.NotEmpty(t, front)
			assert.GreaterOrEqual(t, millis, int64(0))
			assert.Positive(t, every)
		}
	})
}
