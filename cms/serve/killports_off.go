//go:build !crashpoint

package serve

import "github.com/elastipod/elastipod/cms"

// killPorts returns the configuration as it is.
func killPorts(c cms.Config) cms.Config { return c }
