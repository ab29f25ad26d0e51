//go:build !linux

package main

import (
	"context"
	"errors"
	"net"
)

// examineMachine looks at what is the same on every system.
func examineMachine(ctx context.Context, d *diagnosis, o machineOptions) {
	for _, socket := range o.engines {
		examineEngine(ctx, d, socket)
	}
	examineHAProxy(ctx, d, o.haproxy)
}

func diskUse(string) (float64, error) { return 0, errors.ErrUnsupported }

func peerOf(net.Conn) int { return 0 }
