package balancer_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
)

// paths returns the paths of the faults in err, in their order.
func paths(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	var faults balancer.Faults
	require.ErrorAs(t, err, &faults)
	var out []string
	for _, f := range faults {
		assert.NotEmpty(t, f.Problem, f.Path)
		assert.NotEmpty(t, f.Allowed, f.Path)
		out = append(out, f.Path)
	}
	return out
}

func TestFrontValidate(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*balancer.Front)
		want   []string
	}{
		"as it is":                {func(*balancer.Front) {}, nil},
		"shortest name":           {func(f *balancer.Front) { f.Name = "a" }, nil},
		"longest name":            {func(f *balancer.Front) { f.Name = strings.Repeat("a", 40) }, nil},
		"name too long":           {func(f *balancer.Front) { f.Name = strings.Repeat("a", 41) }, []string{"name"}},
		"no name":                 {func(f *balancer.Front) { f.Name = "" }, []string{"name"}},
		"digit first":             {func(f *balancer.Front) { f.Name = "1a" }, []string{"name"}},
		"newline last":            {func(f *balancer.Front) { f.Name = "web\n" }, []string{"name"}},
		"capital":                 {func(f *balancer.Front) { f.Name = "wEb" }, []string{"name"}},
		"underscore":              {func(f *balancer.Front) { f.Name = "a_b" }, []string{"name"}},
		"IPv6":                    {func(f *balancer.Front) { f.Listen = "[::1]:80" }, nil},
		"wildcard":                {func(f *balancer.Front) { f.Listen = "0.0.0.0:80" }, nil},
		"no listen":               {func(f *balancer.Front) { f.Listen = "" }, []string{"listen"}},
		"no host":                 {func(f *balancer.Front) { f.Listen = ":80" }, []string{"listen"}},
		"host name":               {func(f *balancer.Front) { f.Listen = "localhost:80" }, []string{"listen"}},
		"zone":                    {func(f *balancer.Front) { f.Listen = "[fe80::1%eth0]:80" }, []string{"listen"}},
		"port 0":                  {func(f *balancer.Front) { f.Listen = "127.0.0.1:0" }, []string{"listen"}},
		"port too great":          {func(f *balancer.Front) { f.Listen = "127.0.0.1:65536" }, []string{"listen"}},
		"leastconn":               {func(f *balancer.Front) { f.Algorithm = balancer.LeastConn }, nil},
		"roundrobin":              {func(f *balancer.Front) { f.Algorithm = balancer.RoundRobin }, nil},
		"random":                  {func(f *balancer.Front) { f.Algorithm = balancer.Random }, nil},
		"source":                  {func(f *balancer.Front) { f.Algorithm = balancer.Source }, nil},
		"first":                   {func(f *balancer.Front) { f.Algorithm, f.MaxConn = balancer.First, 1 }, nil},
		"first without a maximum": {func(f *balancer.Front) { f.Algorithm = balancer.First }, []string{"max_conn"}},
		"unknown algorithm":       {func(f *balancer.Front) { f.Algorithm = "uri" }, []string{"algorithm"}},
		"greatest maximum":        {func(f *balancer.Front) { f.MaxConn = 100_000 }, nil},
		"maximum too great":       {func(f *balancer.Front) { f.MaxConn = 100_001 }, []string{"max_conn"}},
		"negative maximum":        {func(f *balancer.Front) { f.MaxConn = -1 }, []string{"max_conn"}},
		"shortest time-out":       {func(f *balancer.Front) { f.Timeouts.Connect = time.Millisecond }, nil},
		"time-out too short":      {func(f *balancer.Front) { f.Timeouts.Connect = time.Microsecond }, []string{"timeouts.connect"}},
		"negative time-out":       {func(f *balancer.Front) { f.Timeouts.Client = -time.Second }, []string{"timeouts.client"}},
		"longest time-out":        {func(f *balancer.Front) { f.Timeouts.Server = 24 * time.Hour }, nil},
		"time-out too long":       {func(f *balancer.Front) { f.Timeouts.Server = 25 * time.Hour }, []string{"timeouts.server"}},
		"queue time-out":          {func(f *balancer.Front) { f.Timeouts.Queue = time.Nanosecond }, []string{"timeouts.queue"}},
		"no retries":              {func(f *balancer.Front) { f.Retries = -1 }, nil},
		"too many retries":        {func(f *balancer.Front) { f.Retries = 101 }, []string{"retries"}},
		"check path":              {func(f *balancer.Front) { f.CheckPath = "/healthz?full=1&x=%20" }, nil},
		"check path, relative":    {func(f *balancer.Front) { f.CheckPath = "healthz" }, []string{"check_path"}},
		"check path, URL":         {func(f *balancer.Front) { f.CheckPath = "http://x/healthz" }, []string{"check_path"}},
		"check path, authority":   {func(f *balancer.Front) { f.CheckPath = "//evil/healthz" }, []string{"check_path"}},
		"check path, space":       {func(f *balancer.Front) { f.CheckPath = "/a b" }, []string{"check_path"}},
		"check path, newline":     {func(f *balancer.Front) { f.CheckPath = "/a\nuser root" }, []string{"check_path"}},
		"check path, quote":       {func(f *balancer.Front) { f.CheckPath = `/a"b` }, []string{"check_path"}},
		"check path, backslash":   {func(f *balancer.Front) { f.CheckPath = `/a\b` }, []string{"check_path"}},
		"check path, comment":     {func(f *balancer.Front) { f.CheckPath = "/a#b" }, []string{"check_path"}},
		"check path, control":     {func(f *balancer.Front) { f.CheckPath = "/a\x00b" }, []string{"check_path"}},
		"check path, not ASCII":   {func(f *balancer.Front) { f.CheckPath = "/ä" }, []string{"check_path"}},
		"check path, too long":    {func(f *balancer.Front) { f.CheckPath = "/" + strings.Repeat("a", 1000) }, []string{"check_path"}},
		"everything at once, sorted by field": {func(f *balancer.Front) {
			*f = balancer.Front{Name: "?", Listen: "?", Algorithm: "?", MaxConn: -1, Retries: 1000, CheckPath: "?", Timeouts: balancer.Timeouts{Connect: -1, Queue: -1}}
		}, []string{"name", "listen", "algorithm", "max_conn", "timeouts.connect", "timeouts.queue", "retries", "check_path"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := balancer.Front{Name: "web", Listen: "127.0.0.1:5100"}
			c.change(&f)
			err := f.Validate()
			assert.Equal(t, c.want, paths(t, err))
			assert.Equal(t, c.want == nil, err == nil)
			if err == nil {
				require.NoError(t, f.WithDefaults().Validate(), "the defaults are good")
			}
		})
	}
}

func TestFrontWithDefaults(t *testing.T) {
	f := balancer.Front{Name: "web", Listen: "127.0.0.1:5100"}.WithDefaults()
	assert.Equal(t, balancer.Front{
		Name: "web", Listen: "127.0.0.1:5100", Algorithm: balancer.LeastConn, Retries: 3,
		Timeouts: balancer.Timeouts{Connect: 200 * time.Millisecond, Client: time.Minute, Server: time.Minute, Queue: 30 * time.Second},
	}, f)
	assert.Equal(t, f, f.WithDefaults(), "twice is once")
	set := balancer.Front{Algorithm: balancer.First, MaxConn: 7, Retries: -1, Timeouts: balancer.Timeouts{Connect: 1, Client: 2, Server: 3, Queue: 4}}
	assert.Equal(t, set, set.WithDefaults(), "what is set stays")
}

func TestServerValidate(t *testing.T) {
	for name, c := range map[string]struct {
		server balancer.Server
		want   []string
	}{
		"zero but name and address": {balancer.Server{Name: "a", Addr: "127.0.0.1:1"}, nil},
		"all set":                   {balancer.Server{Name: "Web-1.x_y", Addr: "[2001:db8::1]:65535", Weight: 256, State: balancer.Drain}, nil},
		"least weight":              {balancer.Server{Name: "a", Addr: "127.0.0.1:1", Weight: 1}, nil},
		"longest name":              {balancer.Server{Name: strings.Repeat("a", 100), Addr: "127.0.0.1:1"}, nil},
		"name too long":             {balancer.Server{Name: strings.Repeat("a", 101), Addr: "127.0.0.1:1"}, []string{"name"}},
		"dash first":                {balancer.Server{Name: "-a", Addr: "127.0.0.1:1"}, []string{"name"}},
		"newline":                   {balancer.Server{Name: "a\nb", Addr: "127.0.0.1:1"}, []string{"name"}},
		"newline last":              {balancer.Server{Name: "a\n", Addr: "127.0.0.1:1"}, []string{"name"}},
		"semicolon":                 {balancer.Server{Name: "a;b", Addr: "127.0.0.1:1"}, []string{"name"}},
		"slash":                     {balancer.Server{Name: "a/b", Addr: "127.0.0.1:1"}, []string{"name"}},
		"not ASCII":                 {balancer.Server{Name: "ä", Addr: "127.0.0.1:1"}, []string{"name"}},
		"address with a space":      {balancer.Server{Name: "a", Addr: "127.0.0.1:1 x"}, []string{"addr"}},
		"no port":                   {balancer.Server{Name: "a", Addr: "127.0.0.1"}, []string{"addr"}},
		"port 0":                    {balancer.Server{Name: "a", Addr: "127.0.0.1:0"}, []string{"addr"}},
		"host name":                 {balancer.Server{Name: "a", Addr: "example.org:80"}, []string{"addr"}},
		"weight too great":          {balancer.Server{Name: "a", Addr: "127.0.0.1:1", Weight: 257}, []string{"weight"}},
		"negative weight":           {balancer.Server{Name: "a", Addr: "127.0.0.1:1", Weight: -1}, []string{"weight"}},
		"unknown state":             {balancer.Server{Name: "a", Addr: "127.0.0.1:1", State: "maint"}, []string{"state"}},
		"nothing":                   {balancer.Server{}, []string{"name", "addr"}},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.want, paths(t, c.server.Validate())) })
	}
}

func TestValidateServers(t *testing.T) {
	good := balancer.Server{Name: "a", Addr: "127.0.0.1:1"}
	require.NoError(t, balancer.ValidateServers(nil))
	require.NoError(t, balancer.ValidateServers([]balancer.Server{good, {Name: "b", Addr: good.Addr}}), "an address may occur twice")
	err := balancer.ValidateServers([]balancer.Server{good, {Name: "b"}, {Name: "a", Addr: "127.0.0.1:2", Weight: -1}})
	assert.Equal(t, []string{"servers[1].addr", "servers[2].weight", "servers[2].name"}, paths(t, err))
}

func TestServerWithDefaults(t *testing.T) {
	assert.Equal(t, balancer.Server{Name: "a", Weight: 100, State: balancer.Ready}, balancer.Server{Name: "a"}.WithDefaults())
	set := balancer.Server{Name: "a", Weight: 1, State: balancer.Drain}
	assert.Equal(t, set, set.WithDefaults())
}

func TestStatsFront(t *testing.T) {
	st := balancer.Stats{Fronts: []balancer.FrontStats{{Name: "a"}, {Name: "b", Requests: 7}}}
	f, ok := st.Front("b")
	assert.True(t, ok)
	assert.EqualValues(t, 7, f.Requests)
	_, ok = st.Front("c")
	assert.False(t, ok)
}

func ExampleFront_Validate() {
	err := balancer.Front{Name: "Web", Listen: "127.0.0.1:5100", Algorithm: balancer.First}.Validate()
	var faults balancer.Faults
	if errors.As(err, &faults) {
		for _, f := range faults {
			fmt.Println(f)
		}
	}
	// Output:
	// name: "Web" is not a name; use 1 to 40 of a-z, 0-9 and -, a letter first
	// max_conn: is not set; set it: "first" fills one server up to this before it takes the next
}
