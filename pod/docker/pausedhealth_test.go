package docker

import (
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/stretchr/testify/assert"

	"github.com/elastipod/elastipod/pod"
)

// An engine calls a container unhealthy from its pause to the first check after
// that; what its checks said counts.
func TestUnhealthyIsWhatChecksSay(t *testing.T) {
	passed, failed := &container.HealthcheckResult{}, &container.HealthcheckResult{ExitCode: 1}
	for name, c := range map[string]struct {
		health  *container.Health
		retries int
		want    pod.Health
	}{
		"failed as often as the image says":   {&container.Health{Status: container.Unhealthy, FailingStreak: 2, Log: []*container.HealthcheckResult{passed, failed, failed}}, 2, pod.HealthUnhealthy},
		"failed as often as by default":       {&container.Health{Status: container.Unhealthy, FailingStreak: 3}, 0, pod.HealthUnhealthy},
		"paused while it was healthy":         {&container.Health{Status: container.Unhealthy, Log: []*container.HealthcheckResult{passed}}, 2, pod.HealthGood},
		"paused after one failure of two":     {&container.Health{Status: container.Unhealthy, FailingStreak: 1, Log: []*container.HealthcheckResult{passed, nil, failed}}, 2, pod.HealthGood},
		"paused before the first check":       {&container.Health{Status: container.Unhealthy}, 2, pod.HealthUnknown},
		"paused while it was starting":        {&container.Health{Status: container.Unhealthy, FailingStreak: 1, Log: []*container.HealthcheckResult{failed}}, 2, pod.HealthUnknown},
		"healthy since it was listed":         {&container.Health{Status: container.Healthy}, 2, pod.HealthGood},
		"without a check since it was listed": {nil, 2, pod.HealthUnknown},
	} {
		full := container.InspectResponse{
			ContainerJSONBase: &container.ContainerJSONBase{State: &container.State{Health: c.health}},
			Config:            &container.Config{Healthcheck: &container.HealthConfig{Retries: c.retries}},
		}
		assert.Equal(t, c.want, checkedHealth(full), name)
	}
}
