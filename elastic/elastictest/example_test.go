package elastictest_test

import (
	"testing"

	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/elastic/elastictest"
)

// In the tests of a policy of your own, this is one line.
func ExampleRun() {
	_ = func(t *testing.T) {
		elastictest.Run(t, func() elastic.Policy { return elastic.Threshold{Lower: 0.3, Upper: 0.7} })
	}
}
