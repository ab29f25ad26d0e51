package podtest

import (
	"os"

	"github.com/elastipod/elastipod/pod/podtest/internal/program"
)

// HelperArg is the first argument that makes [HelperMain] take over.
const HelperArg = "podtest-helper"

// HelperMain turns this process into the program that the suite's nodes run,
// and never returns, when the first argument is [HelperArg]; otherwise it does
// nothing. Call it first in TestMain where nodes run the test binary itself,
// with the command [os.Executable], HelperArg and the arguments that
// [Harness.Workload] is given.
func HelperMain() {
	if len(os.Args) > 1 && os.Args[1] == HelperArg {
		os.Exit(program.Run(program.OS(os.Args[2:], os.Args[:2])))
	}
}
