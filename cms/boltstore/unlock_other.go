//go:build !unix

package boltstore

import "os"

func unlock(*os.File) error { return nil }

func lockDir(string) (release func(), err error) { return func() {}, nil }
