package docker_test

import (
	"context"
	"errors"
	"flag"
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

// shared is an engine on which tests run side by side, each with a cluster of
// its own. It has the image of the probe.
var shared *dockertest.Engine

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	flag.Parse()
	if worker := flag.Lookup("test.fuzzworker"); worker != nil && worker.Value.String() == "true" {
		return m.Run() // it runs no test, and so needs no engine
	}
	dir, err := os.MkdirTemp("", "ep")
	if err == nil {
		defer os.RemoveAll(dir)
		helper, probe = filepath.Join(dir, "helper"), filepath.Join(dir, "probe")
		err = dockertest.BuildGoBinary(context.Background(), "../podtest/helper", helper)
	}
	if err == nil {
		err = dockertest.BuildGoBinary(context.Background(), "./testdata/probe", probe)
	}
	if err == nil {
		shared, err = dockertest.Launch(context.Background(), dockertest.Options{})
	}
	if err == nil {
		err = shared.BuildScratchImage(context.Background(), probeImage, probe)
	}
	code := 1
	if err == nil {
		code = m.Run()
	}
	if shared != nil {
		err = errors.Join(err, shared.Close())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}
