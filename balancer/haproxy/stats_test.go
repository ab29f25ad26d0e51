package haproxy

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// statHeader is the head of HAProxy 2.6's answer, up to the columns used here.
const statHeader = "# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,wretr,wredis,status,weight,type,hrsp_5xx,req_tot,srv_abrt,addr,\n"

func TestParseStats(t *testing.T) {
	rows, err := parseStats("Name: HAProxy\nPid: 7\n\n" + statHeader +
		"web,FRONTEND,,,3,5,9000,12,1,1,0,0,0,,,,,OPEN,,0,2,13,,,\n" +
		"web,n.1,1,0,2,1,,7,1,1,,0,,0,4,0,0,UP 1/3,100,2,1,,5,127.0.0.1:80,\n" +
		"web,BACKEND,6,0,8,1,900,9,1,1,0,0,,0,0,0,0,UP,200,1,2,13,5,,\n\n")
	require.NoError(t, err)
	require.Len(t, rows, 3)
	assert.Equal(t, row{proxy: "web", name: "FRONTEND", kind: kindFrontend, status: "OPEN", scur: 3, stot: 12, reqTot: 13, hrsp5xx: 2}, rows[0])
	assert.Equal(t, row{proxy: "web", name: "n.1", kind: kindServer, status: "UP 1/3", addr: "127.0.0.1:80",
		qcur: 1, scur: 2, stot: 7, hrsp5xx: 1, eresp: 4, srvAbrt: 5}, rows[1])
	assert.Equal(t, 6, rows[2].qcur)
}

func TestParseStatsRefusesWhatItDoesNotUnderstand(t *testing.T) {
	for name, out := range map[string]string{
		"empty":          "",
		"another answer": "Unknown command: show stat\n",
		"no columns":     "# pxname,svname\nweb,FRONTEND\n",
		"short line":     statHeader + "web,n.1,1\n",
		"cut off":        statHeader + "web,n.1,1,0,2,1,,7,1,1,,0,,0,4,0,0,UP,100,2,1,,5\n",
		"too many":       statHeader + "web,n.1,1,0,4294967296,1,,7,1,1,,0,,0,4,0,0,UP,100,2,1,,5,127.0.0.1:80,\n",
		"no number":      statHeader + "web,n.1,many,0,2,1,,7,1,1,,0,,0,4,0,0,UP,100,2,1,,5,127.0.0.1:80,\n",
		"negative":       statHeader + "web,n.1,-1,0,2,1,,7,1,1,,0,,0,4,0,0,UP,100,2,1,,5,127.0.0.1:80,\n",
		"too great":      statHeader + "web,n.1,99999999999999999999,0,2,1,,7,1,1,,0,,0,4,0,0,UP,100,2,1,,5,127.0.0.1:80,\n",
	} {
		_, err := parseStats(out)
		assert.ErrorIs(t, err, errStats, name)
	}
	rows, err := parseStats(statHeader)
	require.NoError(t, err)
	assert.Empty(t, rows)
}

func TestServerStatusThatIsUp(t *testing.T) {
	for status, up := range map[string]bool{
		"UP": true, "UP 1/3": true, "DRAIN": true, "DRAIN (agent)": true, "no check": true, "NOLB": true,
		"DOWN": false, "DOWN 1/2": false, "MAINT": false, "MAINT (via x/y)": false, "": false,
	} {
		assert.Equal(t, up, row{status: status}.up(), status)
	}
}

func TestParseServers(t *testing.T) {
	all, err := parseServers("1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_port\n" +
		"3 web 5000 a 127.0.0.1 2 0 100 100 5191\n3 web 77 n.2 ::1 0 8 40 0 5192\n4 api 1 x 10.0.0.1 2 1 1 1 80\n\n")
	require.NoError(t, err)
	assert.Equal(t, map[string]map[string]running{
		"web": {
			"a":   {addr: "127.0.0.1:5191", id: 5000, weight: 100},
			"n.2": {addr: "[::1]:5192", id: 77, weight: 40, drain: true, down: true},
		},
		"api": {"x": {addr: "10.0.0.1:80", id: 1, weight: 1, maint: true}},
	}, all)
	const columns = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_port\n"
	for _, bad := range []string{
		"", "Can't find backend.\n", "1\n3 web 5000 a 127.0.0.1\n", "1\n# be_name srv_id\nweb many\n", "1\n# be_id be_name srv_id srv_name\n",
		columns + "3 web 5000 a 127.0.0.1 2 0 100 100\n", columns + "3 web -1 a 127.0.0.1 2 0 100 100 80\n", columns + "3 web 99999999999 a 127.0.0.1 2 0 100 100 80\n",
	} {
		_, err := parseServers(bad)
		assert.Error(t, err, bad)
	}
	none, err := parseServers(columns)
	require.NoError(t, err)
	assert.Empty(t, none, "a front without servers")
}

func TestParseProc(t *testing.T) {
	p := parseProc("#<PID>          <type>          <reloads>       <uptime>        <version>      \n" +
		"18385           master          3 [failed: 2]   0d00h01m55s     2.6.12-1+deb12u4\n# workers\n" +
		"20262           worker          0               0d00h00m00s     2.6.12-1+deb12u4\n# old workers\n" +
		"20171           worker          1               0d00h00m01s     2.6.12-1+deb12u4\n# programs\n\n")
	assert.Equal(t, processes{master: 18385, reloads: 3, failed: 2, workers: []int{20262}, old: []int{20171}}, p)
	assert.Zero(t, parseProc("Unknown command\n").master)
}

func TestParseInfo(t *testing.T) {
	assert.Equal(t, info{pid: 7, description: "elastipod ab12 4", id: "ab12", number: 4},
		parseInfo("Name: HAProxy\nPid: 7\ndescription: elastipod ab12 4\n"))
	assert.Equal(t, info{pid: 7, description: "of somebody else"}, parseInfo("Pid: 7\ndescription: of somebody else\n"))
	assert.Zero(t, parseInfo(""))
}

func TestParseSession(t *testing.T) {
	id, be, srv, ok := parseSession("0x7f47700386d0: proto=tcpv4 src=127.0.0.1:48216 fe=web be=web srv=n.2 ts=00 age=1s")
	assert.True(t, ok)
	assert.Equal(t, []string{"0x7f47700386d0", "web", "n.2"}, []string{id, be, srv})
	_, _, _, ok = parseSession("Unknown: command")
	assert.False(t, ok)
}

func TestRecordedStatistics(t *testing.T) {
	data, err := os.ReadFile("testdata/show-stat-2.6.12.csv")
	require.NoError(t, err)
	w, err := parseWorker(1, string(data))
	require.NoError(t, err)
	assert.Equal(t, "OPEN", w.frontend("web").status)
	assert.NotZero(t, w.backend("web").reqTot)
	assert.True(t, w.rows[rowKey{kindServer, "web", "BACKEND"}].up(), "a server may have a name that HAProxy uses itself")
}
