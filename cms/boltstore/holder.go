package boltstore

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
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
	s.announced.Store(true)
	return nil
}

// Holder says in words who has the store at path, such as "process 123, server,
// at http://127.0.0.1:3000"; empty where nobody has, or the system doesn't tell.
func Holder(path string) string {
	pid, program := locker(path)
	var a announcement
	if text, err := os.ReadFile(path + holderSuffix); err != nil || json.Unmarshal(text, &a) != nil {
		a = announcement{}
	}
	machine, err := os.Hostname()
	switch {
	case pid != 0 && a.PID == pid && (err != nil || a.Machine == machine):
	case pid != 0:
		a = announcement{} // an earlier one's
	case err == nil && a.Machine == machine:
		return "" // it was killed
	}
	var parts []string
	if pid := cmp.Or(pid, a.PID); pid != 0 {
		parts = append(parts, "process "+strconv.Itoa(pid))
	}
	if program != "" {
		parts = append(parts, program)
	}
	if a.Machine != "" && a.Machine != machine {
		parts = append(parts, "on machine "+a.Machine)
	}
	if a.Address != "" {
		parts = append(parts, "at "+a.Address)
	}
	return strings.Join(parts, ", ")
}

// describe is Holder, for an error about a store that is locked.
func describe(path string) string {
	if who := Holder(path); who != "" {
		return " (" + who + ")"
	}
	return ""
}
