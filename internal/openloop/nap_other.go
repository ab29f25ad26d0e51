//go:build !linux

package openloop

import "time"

const napFrom = 0

func nap(time.Duration) {}
