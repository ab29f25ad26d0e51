package haproxy

import (
	"testing"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/balancertest"
)

func harness() balancertest.Harness {
	return balancertest.Harness{
		Open: func(t *testing.T) balancer.Balancer { return openBalancer(t) },
		Reopen: func(t *testing.T, closed balancer.Balancer) balancer.Balancer {
			return reopenBalancer(t, closed.(*Balancer).cfg.Dir)
		},
		Listens:       true,
		CoarseLatency: true,
	}
}

func TestConformance(t *testing.T) { balancertest.Run(t, harness()) }

func TestTrafficConformance(t *testing.T) { balancertest.RunTraffic(t, harness()) }
