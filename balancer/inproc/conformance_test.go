package inproc

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/balancertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func harness() balancertest.Harness {
	return balancertest.Harness{
		Open: func(t *testing.T) balancer.Balancer {
			b, err := New(Config{})
			require.NoError(t, err)
			return b
		},
		Listens: true,
	}
}

func TestMembership(t *testing.T) { balancertest.Run(t, harness()) }

func TestTraffic(t *testing.T) { balancertest.RunTraffic(t, harness()) }
