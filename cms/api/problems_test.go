package api_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/api"
	"github.com/elastipod/elastipod/cms/reconcile"
	"github.com/elastipod/elastipod/cms/wire"
)

// The codes that the document lists are those of the manager, and the wire's
// Hopeless agrees with the manager's.
func TestProblemCodesAreThoseOfTheManager(t *testing.T) {
	field, _ := reflect.TypeFor[wire.Problem]().FieldByName("Code")
	var codes []string
	for _, c := range reconcile.Codes() {
		codes = append(codes, string(c))
		assert.Equal(t, c.Hopeless(), wire.Problem{Code: string(c)}.Hopeless(), c)
	}
	assert.Equal(t, codes, strings.Split(field.Tag.Get("enum"), ","))
}

// The text of a problem is made when it is read, and goes on counting.
func TestProblems(t *testing.T) {
	again := at.Add(5 * time.Second)
	s := *newFake().pods["web"]
	s.Problems = []cms.Problem{
		{Code: cms.ProblemStart, Pod: "web", Node: "n1", Host: "a", Fault: cms.Reason{Code: "exited", Text: "it exited with status 1"}, Again: again},
		{Code: cms.ProblemFront, Pod: "web", Front: "web", Fault: cms.Reason{Code: "address-in-use", Text: "another program listens there"}},
	}
	data, err := json.Marshal(api.Pod(s, at).Status.Problems)
	require.NoError(t, err)
	assert.JSONEq(t, `[
		{"code":"start-failed","pod":"web","node":"n1","host":"a","again":"2026-11-05T10:00:05Z",
		 "text":"node n1 could not be started on host a: it exited with status 1; the next try is in 5s"},
		{"code":"front-not-set","pod":"web","front":"web","text":"front web cannot be set: another program listens there"}]`, string(data))
	assert.Contains(t, api.Pod(s, at.Add(2*time.Second)).Status.Problems[0].Text, "the next try is in 3s")

	s.Problems = nil
	assert.NotNil(t, api.Pod(s, at).Status.Problems, "an empty list is one in JSON too")
	c := api.Cluster(cms.ClusterStatus{Problems: []cms.Problem{{Code: cms.ProblemHost, Host: "a", Fault: cms.Reason{Text: "no route"}}}}, "", at)
	assert.Equal(t, []wire.Problem{{Code: "host-unreachable", Host: "a", Text: "host a does not answer: no route"}}, c.Problems)
}

// Why a host or the balancer cannot be reached is a sentence.
func TestFaultsAreSentences(t *testing.T) {
	f := cms.Reason{Code: "host-unreachable", Text: "nobody listens there"}
	assert.Equal(t, "nobody listens there", api.Host(cms.HostStatus{Fault: f}).Status.Error)
	assert.Equal(t, "nobody listens there", api.Balancer(cms.BalancerStatus{Fault: f}).Error)
}

// Before the first tick there is no decision to tell.
func TestBeforeTheFirstTick(t *testing.T) {
	f := newFake()
	s := *f.add(cms.PodSpec{})
	assert.Nil(t, api.Pod(s, at).Status.LastChange)
	assert.Empty(t, api.Pod(s, at).Status.Reason)
	assert.Empty(t, api.Elasticity(s).Status.Reason)
}

func TestRestart(t *testing.T) {
	f := newFake()
	a := newAPI(t, f)
	r := call(t, a, "POST", "/v1/pods/web/restart", nil)
	assert.Equal(t, 202, r.StatusCode)
	assert.EqualValues(t, 3, read[wire.Pod](t, r).Status.Revision)
	assert.Contains(t, f.calls, "RestartPod web")
	assert.Equal(t, 404, call(t, a, "POST", "/v1/pods/wbe/restart", nil).StatusCode)
}
