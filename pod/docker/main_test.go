package docker_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/elastipod/elastipod/internal/dockertest"
)

// helper is the path of the conformance suite's program, and probe that of this
// package's own: static binaries, compiled once.
var helper, probe string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "ep")
	if err == nil {
		defer os.RemoveAll(dir)
		helper, probe = filepath.Join(dir, "helper"), filepath.Join(dir, "probe")
		err = dockertest.BuildGoBinary(context.Background(), "../podtest/helper", helper)
	}
	if err == nil {
		err = dockertest.BuildGoBinary(context.Background(), "./testdata/probe", probe)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}
