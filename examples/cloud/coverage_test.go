package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// use is how scripts use a command.
type use struct {
	codes []string // exit codes that they expect
	json  bool     // one that succeeds prints JSON
	flags []string
}

// scripted reads every script, and returns how it uses each command, by path.
func scripted(t *testing.T) map[string]*use {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	uses := map[string]*use{}
	root := (&app{}).root()
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		require.NoError(t, err)
		for line := range strings.Lines(string(archive.Comment)) {
			words := splitWords(line)
			code := ""
			switch {
			case len(words) > 1 && words[1] == "cloud" && (words[0] == "exec" || words[0] == "waitfor"):
				code, words = exitCodes[exitDone], words[2:]
			case len(words) > 2 && words[2] == "cloud" && words[0] == "exits":
				code, words = words[1], words[3:]
			default:
				continue
			}
			found, args, err := root.Find(words)
			if err != nil || len(words) > 0 && words[0] == "__complete" {
				continue // a command that does not exist, on purpose
			}
			u := uses[found.CommandPath()]
			if u == nil {
				u = &use{}
				uses[found.CommandPath()] = u
			}
			u.codes = append(u.codes, code)
			for i, word := range args {
				name, isFlag := strings.CutPrefix(word, "--")
				name, _, _ = strings.Cut(name, "=")
				if short, isShort := strings.CutPrefix(word, "-"); !isFlag && isShort && len(short) == 1 {
					if f := found.Flags().ShorthandLookup(short); f != nil {
						name = f.Name
					} else if f := root.PersistentFlags().ShorthandLookup(short); f != nil {
						name = f.Name
					}
				} else if !isFlag {
					continue
				}
				u.flags = append(u.flags, name)
				u.json = u.json || name == "output" && i+1 < len(args) && args[i+1] == "json" && code == exitCodes[exitDone]
			}
		}
	}
	return uses
}

var exitCodes = [...]string{exitDone: "0", exitFailed: "1", exitUsage: "2"}

// Every command has scripts in which it succeeds, fails and is used wrongly, in
// which it prints JSON, and which use each of its flags.
func TestScriptsCoverEveryCommand(t *testing.T) {
	uses := scripted(t)
	// A shell's script is no JSON; to say what cannot fail would be idle.
	noJSON := []string{"cloud completion"}
	neverFails := []string{"cloud completion", "cloud version", "cloud docs man", "cloud docs markdown"}
	leaf := func(c *cobra.Command) bool { return !c.HasSubCommands() && c.Name() != "help" }
	everyCommand((&app{}).root(), func(c *cobra.Command) {
		if !leaf(c) {
			return
		}
		path := c.CommandPath()
		u := uses[path]
		if !assert.NotNil(t, u, "no script uses %s", path) {
			return
		}
		assert.Contains(t, u.codes, "0", "in no script %s succeeds", path)
		assert.Contains(t, u.codes, "2", "in no script %s is used wrongly", path)
		if !slices.Contains(neverFails, path) {
			assert.Contains(t, u.codes, "1", "in no script %s fails", path)
		}
		if !slices.Contains(noJSON, path) {
			assert.True(t, u.json, "in no script %s -o json succeeds", path)
		}
		documented(c.LocalNonPersistentFlags(), func(f *pflag.Flag) {
			assert.Contains(t, u.flags, f.Name, "no script uses --%s of %s", f.Name, path)
		})
	})
	var all []string
	for _, u := range uses {
		all = append(all, u.flags...)
	}
	documented((&app{}).root().PersistentFlags(), func(f *pflag.Flag) {
		assert.Contains(t, all, f.Name, "no script uses --%s", f.Name)
	})
}
