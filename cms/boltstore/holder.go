package boltstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"
)

// holderSuffix makes the name of the file beside the store that says who has it.
const holderSuffix = ".holder"

// announcement is who has a store, for whoever else wants it.
type announcement struct {
	PID     int    `json:"pid"`
	Machine string `json:"machine"`
	Address string `json:"address"` // at which it can be talked to
}

// Announce tells others who find the store locked at which address the program
// that has it can be reached, such as "http://127.0.0.1:3000". It is kept in a
// file beside the store until Close; what a program that was killed left of it is
// not believed.
func (s *Store) Announce(address string) error {
	machine, err := os.Hostname()
	if err != nil {
		machine = ""
	}
	text, err := json.Marshal(announcement{os.Getpid(), machine, address})
	if err != nil {
		return err
	}
	next := s.path + holderSuffix + ".new"
	if err := os.WriteFile(next, append(text, '\n'), fileMode); err != nil {
		return fmt.Errorf("announce who has store %s: %w", s.path, plain(errors.Join(err, removeFile(next))))
	}
	if err := os.Rename(next, s.path+holderSuffix); err != nil {
		return fmt.Errorf("announce who has store %s: %w", s.path, err)
	}
	return nil
}

// Holder says in words who has the store at path, such as "process 123, at
// http://127.0.0.1:3000"; empty where nobody has.
func Holder(path string) string {
	var a announcement
	text, err := os.ReadFile(path + holderSuffix)
	if err != nil || json.Unmarshal(text, &a) != nil {
		return ""
	}
	who := fmt.Sprintf("process %d", a.PID)
	if machine, err := os.Hostname(); err != nil || machine != a.Machine {
		who += ", on machine " + a.Machine
	} else if !runs(a.PID) {
		return "" // it was killed
	}
	if a.Address != "" {
		who += ", at " + a.Address
	}
	return who
}

func runs(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	err = p.Signal(syscall.Signal(0))
	return err == nil || errors.Is(err, os.ErrPermission)
}

// describe is Holder, for an error about a store that is locked.
func describe(path string) string {
	if who := Holder(path); who != "" {
		return " (" + who + ")"
	}
	return ""
}
