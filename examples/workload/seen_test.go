package workload

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestForgetsTheOldestIDs(t *testing.T) {
	s, err := newSeen("")
	require.NoError(t, err)
	const all = MaxSeen + 50
	for i := range all {
		require.NoError(t, s.add(strconv.Itoa(i)))
	}
	got := s.since(10)
	assert.EqualValues(t, all, got.Count)
	assert.EqualValues(t, 40, got.Lost)
	require.Len(t, got.IDs, MaxSeen)
	assert.Equal(t, "50", got.IDs[0])
	assert.Equal(t, strconv.Itoa(all-1), got.IDs[MaxSeen-1])
	assert.Empty(t, s.since(got.Next).IDs)
	assert.Empty(t, s.since(1<<40).IDs, "a number from before the node began anew")
}
