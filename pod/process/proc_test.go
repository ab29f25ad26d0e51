package process

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseStat(t *testing.T) {
	const rest = " S 7 1 1 0 -1 4194560 1 2 3 4 11 22 33 44 20 0 1 0 555 666 777 18446744073709551615 1 1 0\n"
	for _, name := range []string{"sh", "a b", ") S 1 (", "((", ")"} {
		s, err := parseStat(9, []byte("9 ("+name+")"+rest))
		require.NoError(t, err, name)
		assert.Equal(t, procStat{procRef: procRef{PID: 9, Start: 555}, ppid: 7, state: 'S', cpu: 33, cpuReaped: 77}, s, name)
	}
	for _, line := range []string{"", "9", "9 (sh)", "9 (sh) ", "9 (sh) S 1 2 3"} {
		_, err := parseStat(9, []byte(line))
		assert.Error(t, err, "%q", line)
	}
	s, err := parseStat(9, []byte("9 (x) Z 7 1 1 0 -1 0 0 0 0 0 1 1 -5 -6 20 0 1 0 5 "))
	require.NoError(t, err)
	assert.True(t, s.dead())
	assert.Zero(t, s.cpuReaped, "a negative time counts as none")
}

func TestReadTable(t *testing.T) {
	table, err := readTable()
	require.NoError(t, err)
	me, err := refOf(os.Getpid())
	require.NoError(t, err)
	assert.True(t, table.alive(me))
	assert.False(t, table.alive(procRef{PID: me.PID, Start: me.Start + 1}))
	assert.Contains(t, table.descendants(os.Getppid()), os.Getpid())
	assert.Positive(t, anonymous(os.Getpid(), make([]byte, 256)))
}

func TestGone(t *testing.T) {
	gone := procRef{PID: 1 << 22, Start: 1}
	assert.False(t, gone.alive())
	_, err := openProc(gone)
	assert.ErrorIs(t, err, errGone)
	me, err := refOf(os.Getpid())
	require.NoError(t, err)
	me.Start++
	_, err = openProc(me)
	assert.ErrorIs(t, err, errGone, "the same pid, but not the same process")
}

func TestWaitEndsWithContext(t *testing.T) {
	me, err := refOf(os.Getpid())
	require.NoError(t, err)
	p, err := openProc(me)
	require.NoError(t, err)
	defer p.close()
	for range 2 { // and can be called again
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		assert.ErrorIs(t, p.wait(ctx), context.DeadlineExceeded)
		cancel()
	}
}

func TestCarriesItsOwnMarkOnly(t *testing.T) {
	for env, want := range map[string]bool{
		"": false, "A=1\x00ELASTIPOD_RUN=ab\x00B=2": true, "ELASTIPOD_RUN=ab": true, "ELASTIPOD_RUN=abc\x00": false,
		"ELASTIPOD_RUN=a\x00": false, "TEXT=ELASTIPOD_RUN=ab\x00": false,
	} {
		assert.Equal(t, want, carries([]byte(env), "ab"), "%q", env)
	}
}
